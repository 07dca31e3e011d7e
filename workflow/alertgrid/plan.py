"""What will the study cost? Runs, jobs, GPU-hours, wall time and disk, before anything is submitted.

Rates come from run records of this or other studies where there are some for the network and device, else from
rates.csv beside this file, which says of each number whether it was measured or is a guess.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .columns import STAMP_SIZE
from .errors import StudyError
from .files import read_json
from .status import duration

RATES = Path(__file__).with_name("rates.csv")
# ASSUME: a forward pass costs a third of a training step (forward, backward, optimizer); measured 0.25-0.4.
FORWARD_SHARE = 1 / 3
# Frozen fusion embeds each alert once in each of the eight symmetries of a square.
FUSION_VIEWS = 8
# Importing torch and opening the data, measured 5-15 s; a network file system may double it.
START_SECONDS = 20.0
# Snakemake sees the end of a Slurm job after 10 to 180 s (plugin 2.8), and starts two more of itself in each job.
NOTICE_SECONDS = {"slurm": 100.0, "local": 2.0}
CATALOGUE_BYTES = 400  # of one alert: catalogue columns and 25 metadata in float32
PREDICTION_BYTES = 20  # candid, split, score
CHECKPOINT_COPIES = 4  # weights, best weights, two moments of the optimizer


@dataclass(frozen=True)
class Plan:
    """Cost of a study.

    `runs` has one row per run: run, job, done, hours (of one device), guess, source. `wall_seconds` is for what is
    left, at `concurrency` jobs at once. `disk_bytes` stays, `scratch_bytes` is the checkpoints of what runs at once.
    """

    runs: pd.DataFrame
    device: str
    concurrency: int
    other_jobs: int
    wall_seconds: float
    disk_bytes: float
    scratch_bytes: float

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the whole study: recorded for finished runs, estimated for the others."""
        return float(self.runs["hours"].sum()) if self.device == "cuda" else 0.0

    @property
    def jobs(self) -> int:
        """Jobs still to come."""
        return self.runs.loc[~self.runs["done"], "job"].nunique() + self.other_jobs


# Key of a budget -> its unit, and what a plan comes to in it.
LIMITS = {
    "gpu_hours": ("GPU-hours", lambda plan: plan.gpu_hours),
    "disk_gb": ("GB of disk", lambda plan: (plan.disk_bytes + plan.scratch_bytes) / 1e9),
}


def estimate(
    runs: pd.DataFrame,
    *,
    alerts: Mapping[str, int],
    rates: pd.DataFrame,
    records: Mapping[str, Mapping] | None = None,
    device: str = "cuda",
    concurrency: int = 1,
    executor: str = "slurm",
    item_bytes: int = 2,
    channels: int = 3,
    other_jobs: int = 0,
) -> Plan:
    """Estimate what a grid costs.

    Parameters
    ----------
    runs : DataFrame
        Columns run, architecture, inputs, fraction, epochs; `images` where a run has a number of its own to train on
        (a pre-training), else NaN; `pack` where runs share jobs.
    alerts : mapping
        Number of alerts in train, val and test.
    rates : DataFrame
        As `load_rates` gives.
    records : mapping
        Run -> its run.json, for finished runs of this study.
    device, executor : {"cuda", "cpu"}, {"slurm", "local"}
        Where runs train, and who starts them (decides how late an end is noticed).
    concurrency, other_jobs : int
        Runs at once, and jobs that are not runs (data, tables, figures, page).
    item_bytes, channels : int
        Of a stored pixel, and of a triplet.
    """
    table = _costs(runs, alerts, rates, device, records or {}).assign(notice=NOTICE_SECONDS[executor])
    parameters = table["parameters"].sum()
    left = int((~table["done"]).sum())
    total = sum(alerts.values())
    stamps = total * (channels * STAMP_SIZE**2 * item_bytes + CATALOGUE_BYTES)
    predictions = len(table) * (alerts["val"] + alerts["test"]) * PREDICTION_BYTES
    return Plan(
        runs=table[["run", "job", "done", "hours", "guess", "source"]],
        device=device,
        concurrency=concurrency,
        other_jobs=other_jobs,
        wall_seconds=_wall_seconds(table, concurrency),
        disk_bytes=float(stamps + predictions + 2 * 4 * parameters),
        scratch_bytes=float(min(concurrency, left) * CHECKPOINT_COPIES * 4 * table["parameters"].max()),
    )


def _costs(
    runs: pd.DataFrame, alerts: Mapping[str, int], rates: pd.DataFrame, device: str, records: Mapping
) -> pd.DataFrame:
    """Hours of every run, those of a job's start with the first run that it still has to do."""
    table = pd.DataFrame([_cost(run, alerts, rates, device, records) for run in runs.to_dict("records")])
    jobs = runs.get("pack", runs["run"]).fillna(runs["run"])
    table = table.assign(inputs=runs["inputs"].to_numpy(), job=jobs.to_numpy())
    first = ~table["done"] & ~table["job"].where(~table["done"], table["run"]).duplicated()
    return table.assign(hours=table["hours"] + first * START_SECONDS / 3600)


def _cost(run: Mapping, alerts: Mapping[str, int], rates: pd.DataFrame, device: str, records: Mapping) -> dict:
    """Hours of one run on one device without the start of its job, and where the number comes from."""
    rate = rate_of(rates, run["architecture"], run["inputs"], device)
    record = records.get(run["run"])
    if record:
        hours, guess, source = record["wall_seconds"] / 3600, False, "recorded"
    else:
        hours, guess, source = _seconds(run, alerts, rate) / 3600, rate["kind"] == "guess", rate["source"]
    parameters = rate["parameters"]
    return {
        "run": run["run"],
        "done": record is not None,
        "hours": hours,
        "guess": guess,
        "source": source,
        "parameters": parameters,
    }


def _seconds(run: Mapping, alerts: Mapping[str, int], rate: Mapping) -> float:
    """Seconds of one run: epochs of training and validation, one test, and embeddings for a frozen fusion."""
    if run.get("images", math.nan) > 0:
        return run["images"] * run["epochs"] * rate["ms_per_alert"] / 1000
    train, evaluated = alerts["train"] * run["fraction"], alerts["val"] * run["epochs"] + alerts["test"]
    training = train * run["epochs"] * rate["ms_per_alert"]
    evaluation = evaluated * rate["ms_per_alert"] * FORWARD_SHARE
    once = (train * FUSION_VIEWS + alerts["val"] + alerts["test"]) * rate["image_ms"] * FORWARD_SHARE
    return (training + evaluation + once) / 1000


def rate_of(rates: pd.DataFrame, architecture: str, inputs: str, device: str) -> dict:
    """Milliseconds per trained alert, parameters, kind, source; `image_ms` is the frozen image branch of a fusion."""
    if inputs == "joint":
        image, metadata = (_row(rates, *key, device) for key in ((architecture, "image"), ("metadata_net", "metadata")))
        return {**image, "ms_per_alert": image["ms_per_alert"] + metadata["ms_per_alert"], "image_ms": 0.0}
    row = _row(rates, architecture, inputs, device)
    if inputs != "fusion":
        return {**row, "image_ms": 0.0}
    image = _row(rates, architecture, "image", device)
    # The weaker of the two numbers says how far the estimate can be trusted.
    weaker = image if image["kind"] == "guess" else row
    return {**row, "image_ms": image["ms_per_alert"], "kind": weaker["kind"], "source": weaker["source"]}


def sized(architecture: str, input_size: str | int = "native") -> str:
    """Name of a network in the rates: `maxvit_tiny@224` where stamps are resized."""
    return architecture if input_size == "native" else f"{architecture}@{input_size}"


def _row(rates: pd.DataFrame, architecture: str, inputs: str, device: str) -> dict:
    """The last (newest) rate for a network; else scaled from its native size; else the one for any network."""
    match = rates[(rates["inputs"] == inputs) & (rates["device"] == device)]
    name, _, size = architecture.partition("@")
    scale = (int(size) / STAMP_SIZE) ** 2 if size else 1.0
    for known, factor in ((architecture, 1.0), (name, scale), ("*", scale)):
        rows = match[match["architecture"] == known]
        if len(rows):
            return _scaled(rows.iloc[-1].to_dict(), factor)
    raise StudyError(str(RATES), f"no rate for {architecture}, {inputs}, {device}", "a row with *", "add one")


def _scaled(row: dict, factor: float) -> dict:
    """A rate for inputs of `factor` times the area; scaling makes it a guess."""
    if factor == 1.0:
        return row
    source = f"{row['source']}; times {factor:.1f} for the larger input"
    return {**row, "ms_per_alert": row["ms_per_alert"] * factor, "kind": "guess", "source": source}


def load_rates(records: list[Mapping] | None = None, path: str | Path = RATES) -> pd.DataFrame:
    """The calibrated table, followed by medians of recorded runs, which count more.

    Parameters
    ----------
    records : list of mappings
        run.json of any finished runs, of any study.
    path : path
        Columns architecture, inputs, device, ms_per_alert, parameters, kind ("measured", "guess"), source.
    """
    table = pd.read_csv(path)
    if not records:
        return table
    seen = pd.DataFrame(records)
    seen["device"] = seen["device"].str.split(":").str[0]
    seen["ms_per_alert"] = 1000 / seen["alerts_per_second"]
    seen["architecture"] = [sized(record["architecture"], _input_size(record)) for record in records]
    groups = seen.groupby(["architecture", "inputs", "device"])
    medians = groups.agg(
        ms_per_alert=("ms_per_alert", "median"), parameters=("n_parameters", "median"), count=("run", "size")
    ).reset_index()
    medians["kind"] = "recorded"
    medians["source"] = "median of " + medians.pop("count").astype(str) + " recorded runs"
    return pd.concat([table, medians], ignore_index=True)


def _input_size(record: Mapping) -> str | int:
    """What a finished run resized its stamps to, as its settings say."""
    return record.get("settings", {}).get("models_resolved", {}).get("input_size", "native")


def read_records(folder: str | Path) -> dict[str, dict]:
    """Run -> run.json, for the finished runs of a study's folder `results/{study}`, also those kept of a failed job."""
    found = {}
    for root, place in (("checkpoints", "finished/run.json"), ("runs", "run.json")):
        for path in sorted((Path(folder) / root).glob(f"*/f*/s*/{place}")):
            run = "/".join(path.relative_to(Path(folder) / root).parts[:3])
            found[run] = {**read_json(path), "run": str(Path(folder) / run)}
    return found


def _wall_seconds(table: pd.DataFrame, concurrency: int) -> float:
    """Length of the queue: each job takes the next free place; fusions come last, since they need other runs."""
    left = table[~table["done"]].assign(late=lambda rows: rows["inputs"] == "fusion")
    left = left.groupby("job", sort=False).agg({"hours": "sum", "notice": "first", "late": "first"})
    left = left.sort_values("late", kind="stable")
    free = [0.0] * concurrency
    for hours, notice in left[["hours", "notice"]].itertuples(index=False):
        heapq.heapreplace(free, free[0] + hours * 3600 + notice)
    return max(free)


def describe(plan: Plan) -> str:
    """The plan as text: counts, cost, and which of its numbers are guesses."""
    runs, left = plan.runs, plan.runs[~plan.runs["done"]]
    cells = runs["run"].str.split("/").str[0].nunique()
    hours = left["hours"].sum()
    kind = "GPU-hours" if plan.device == "cuda" else "hours of CPU runs"
    guessed = left[left["guess"]]
    share = guessed["hours"].sum() / hours if hours else 0.0
    lines = [
        f"{cells} cells, {len(runs)} runs, {int(runs['done'].sum())} of them done; {plan.jobs} jobs to come",
        f"{hours:.2f} {kind} to come, {runs['hours'].sum():.2f} in all",
        f"{duration(plan.wall_seconds)} of wall time for runs, {plan.concurrency} at once (queueing not counted)",
        f"{plan.disk_bytes / 1e9:.2f} GB of disk for data and runs, and {plan.scratch_bytes / 1e9:.2f} GB on the way",
        f"{share:.0%} of the hours to come rest on guesses ({len(guessed)} runs), good to a factor of two or three:",
        *(f"  {source}" for source in sorted(guessed["source"].unique())),
        "Not counted: making the data and corpora, the report.",
    ]
    return "\n".join(lines)


def check_budget(plan: Plan, budget: Mapping[str, float], where: str) -> None:
    """Refuse a study that costs more than it may. What is finished already is never refused.

    Parameters
    ----------
    budget : mapping
        Any of the keys of LIMITS.
    where : str
        Dotted key of the study.

    Raises
    ------
    StudyError
        The GPU-hours (spent and to come) or the disk exceed the budget.
    """
    for key in () if plan.runs["done"].all() else LIMITS.keys() & budget.keys():
        unit, cost = LIMITS[key]
        if cost(plan) > budget[key]:
            raise StudyError(
                f"{where}.budget.{key}",
                f"the plan comes to {cost(plan):.3g} {unit} (python -m alertgrid plan says how)",
                f"at most {budget[key]:g}, as config.yaml says",
                "make the grid smaller (architectures, fractions, seeds), or raise this key in config.yaml",
            )
