"""`python -m alertgrid plan`: what a study of config.yaml costs where a profile runs it, before it is submitted."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..grid import check_pretraining
from ..launch.profile import device_of, read_profile
from ..settings.study import resolve_study
from .estimate import Plan, estimate
from .jobs import other_jobs
from .rates import load_rates
from .recorded import read_records
from .report import LIMITS, check_budget, describe
from .sizes import count_alerts
from .work import training_grid, work_of

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"


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
    check_pretraining(settings["grid"]["pretraining"], settings["pretraining"])
    alerts = count_alerts(settings, options.results / study, options.alerts)
    site = read_profile(options.profile)
    device = options.device or site.device
    plan = plan_study(settings, options.results / study, alerts, device, site.executor, site.concurrency, site.devices)
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
    plan = plan_study(settings, Path(folder), alerts, device_of(executor, asked), executor, at_once)
    check_budget(plan, budget, where)


def plan_study(
    settings: Mapping[str, Any],
    folder: Path,
    alerts: Mapping[str, int],
    device: str,
    executor: str,
    concurrency: int,
    devices: int = 1,
) -> Plan:
    """Plan of a study from its resolved settings, its folder of results (which may not exist yet) and its place."""
    work, records = work_of(settings, alerts, devices), read_records(folder)
    every_study = [read_records(path) for path in sorted(folder.parent.glob("*")) if path != folder]
    done = set(work["run"]) <= set(records)
    return estimate(
        work,
        alerts=sum(alerts.values()),
        rates=load_rates([record for study in [*every_study, records] for record in study.values()]),
        records=records,
        device=device,
        concurrency=concurrency,
        executor=executor,
        item_bytes=4 if settings["data"].get("dtype") == "float32" else 2,
        other_jobs=other_jobs(settings, training_grid(settings), folder, done=done),
    )
