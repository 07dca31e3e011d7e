"""`python -m alertgrid plan`: what a study of config.yaml costs where a profile runs it, before it is submitted."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from .dataset import read_catalogue
from .errors import StudyError
from .grid import assign_packs, expand_grid
from .launch.profile import device_of, read_profile
from .plan import LIMITS, Plan, check_budget, describe, estimate, load_rates, read_records, sized
from .settings import override, resolve_study

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"
SOURCE_SETS = ("trues", "dims", "vars", "rejects")
# build_dataset, split, tabulate, draw_figures, write_page, check_results
COMMON_JOBS = 6


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m alertgrid plan`."""
    parser.add_argument("--study", help="name of the study (default: the one that config.yaml names)")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="the study's settings")
    parser.add_argument("--profile", default="profiles/default", help="where it would run")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder that holds the studies' folders")
    parser.add_argument("--alerts", type=int, help="number of alerts, while there is no catalogue.h5")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="what runs train on (default: as the profile says)")


def run_plan(options: argparse.Namespace) -> int:
    """Print the plan; a study above its budget is refused."""
    config = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    study = options.study or config["study"]
    settings = resolve_study({**config, "study": study}, yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    alerts = count_alerts(settings, options.results / study, options.alerts)
    site = read_profile(options.profile)
    device = options.device or site.device
    plan = plan_study(settings, options.results / study, alerts, device, site.executor, site.concurrency)
    print(f"Study {study}, {sum(alerts.values())} alerts, on {plan.device} through {options.profile}")
    print(describe(plan))
    check_budget(plan, settings.get("budget", {}), f"studies.{study}")
    return 0


def check_start(
    settings: Mapping[str, Any], folder: str | Path, *, slurm: bool, at_once: int, asked: Collection[str], where: str
) -> None:
    """Refuse to start a study that would end above its budget; a second at most, nothing where there is no budget.

    Parameters
    ----------
    settings : mapping
        Resolved settings of the study.
    folder : path
        `results/{study}`.
    slurm : bool
        Whether its jobs go to Slurm.
    at_once : int
        Most jobs at the same time.
    asked : collection of str
        Names of the resources that its rules ask for.
    where : str
        Dotted key of the study.

    Raises
    ------
    StudyError
        The estimate exceeds the budget, or cannot be made.
    """
    budget = settings.get("budget", {})
    if not budget.keys() & LIMITS.keys():
        return
    executor = "slurm" if slurm else "local"
    alerts = count_alerts(settings, Path(folder))
    check_budget(
        plan_study(settings, Path(folder), alerts, device_of(executor, asked), executor, at_once), budget, where
    )


def plan_study(
    settings: Mapping[str, Any], folder: Path, alerts: Mapping[str, int], device: str, executor: str, concurrency: int
) -> Plan:
    """Plan of a study from its resolved settings, its folder of results (which may not exist yet) and its place."""
    encoders = pretrainings(settings)
    every_study = [read_records(path) for path in sorted(folder.parent.glob("*"))]
    corpora = {row["run"].rsplit("-", 1)[1] for row in encoders}
    return estimate(
        pd.concat([training_runs(settings), pd.DataFrame(encoders)], ignore_index=True),
        alerts=alerts,
        rates=load_rates([record for records in every_study for record in records.values()]),
        records=read_records(folder),
        device=device,
        concurrency=concurrency,
        executor=executor,
        item_bytes=4 if settings["data"].get("dtype") == "float32" else 2,
        other_jobs=COMMON_JOBS + len(corpora) + len(settings.get("entrants", {})),
    )


def training_runs(settings: Mapping[str, Any]) -> pd.DataFrame:
    """The grid with the job and the epochs of each run (most epochs: early stopping is not counted on)."""
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    recipe = {key: value for key, value in settings["training"].items() if key != "overrides"}
    overrides = settings["training"].get("overrides", {})
    traits = grid[["architecture", "pretraining", "inputs"]].to_numpy()
    epochs = [override(recipe, overrides, *row)["epochs"] for row in traits]
    networks = [_network(settings, name) for name in grid["architecture"]]
    return grid.assign(epochs=epochs, architecture=networks, pack=assign_packs(grid, settings.get("packing", 0)))


def _network(settings: Mapping[str, Any], architecture: str) -> str:
    """Architecture with the size that its inputs are resized to."""
    models = settings["models"]
    own = models.get("architectures", {}).get(architecture, {})
    return sized(architecture, own.get("input_size", models.get("input_size", "native")))


def pretrainings(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Encoders that are trained here: architecture, images and epochs; corpora of unknown size count nothing."""
    grid = settings["grid"]
    excluded = {(rule.get("architecture"), rule.get("pretraining")) for rule in grid.get("exclude", ())}
    rows = []
    for name, spec in settings["pretraining"].items():
        for architecture in grid["architectures"] if "corpus" in spec and name in grid["pretraining"] else ():
            if (architecture, name) not in excluded:
                rows.append(_pretraining(settings, name, spec, architecture))
    return rows


def _pretraining(settings: Mapping[str, Any], name: str, spec: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """One encoder's pre-training as a run."""
    recipe = {**settings["training"], **spec.get("training", {})}
    recipe = override(recipe, spec.get("training", {}).get("overrides", {}), architecture)
    return {
        "run": f"encoders/{architecture}-{name}",
        "architecture": _network(settings, architecture),
        "inputs": "image",
        "fraction": 1.0,
        "epochs": recipe["epochs"],
        "images": spec["corpus"].get("count", 0),
    }


def count_alerts(settings: Mapping[str, Any], folder: Path, given: int | None = None) -> dict[str, int]:
    """Alerts in train, val and test: counted where there is a catalogue, else from the number given or simulated.

    Raises
    ------
    StudyError
        Nobody knows how many alerts there are.
    """
    catalogue = folder / "catalogue.h5"
    if catalogue.exists():
        counts = read_catalogue(catalogue, only={"split"})["split"].value_counts()
        return {split: int(counts.get(split, 0)) for split in ("train", "val", "test")}
    data = settings["data"]
    if given is None:
        given = settings.get("budget", {}).get("alerts")
    if given is None and data["source"] == "simulation":
        given = sum(data[name] for name in SOURCE_SETS) * data["alerts_per_source"]
    if given is None:
        raise StudyError(
            str(catalogue),
            "there is none yet, so the number of alerts is not known",
            "a catalogue, or a number",
            f"plan --alerts NUMBER, or budget.alerts in config.yaml, or make it first: snakemake {catalogue}",
        )
    shares = zip(("train", "val", "test"), settings["splits"]["shares"], strict=True)
    return {split: round(given * share) for split, share in shares}
