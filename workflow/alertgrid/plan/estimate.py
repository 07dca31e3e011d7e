"""Work times rate: hours of every task, then jobs, wall time and disk of the study."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ..columns import STAMP_SIZE
from ..encoders import ENCODERS, EncoderSpec
from ..settings.words import named_size
from ..status import device_hours
from .rates import rate_of
from .work import STAGES

# ASSUME: a forward pass costs a third of a training step (forward, backward, optimizer); measured 0.25-0.4.
FORWARD_SHARE = 1 / 3
# Importing torch and opening the data, measured 5-15 s; a network file system may double it.
START_SECONDS = 20.0
# Snakemake sees the end of a Slurm job after 10 to 180 s (plugin 2.8), and starts two more of itself in each job.
NOTICE_SECONDS = {"slurm": 100.0, "local": 2.0}
CATALOGUE_BYTES = 400  # of one alert: catalogue columns and 25 metadata in float32
PREDICTION_BYTES = 20  # candid, split, score
CHECKPOINT_COPIES = 2 * 4  # two generations of weights, best weights, two moments of the optimizer
METADATA_FEATURES = 128  # length of the embedding of the metadata network, as published


@dataclass(frozen=True)
class Plan:
    """Cost of a study.

    `tasks` has one row per task: run, cell, job, stage, done, hours (of one device), device, basis ("recorded",
    "measured", "guess"), source. `wall_seconds` is for what is left, at `concurrency` jobs at once. `disk_bytes` stays,
    `scratch_bytes` is what the runs at once keep to go on after a stop. `other_jobs` train nothing.
    """

    tasks: pd.DataFrame
    device: str
    concurrency: int
    other_jobs: int
    wall_seconds: float
    disk_bytes: float
    scratch_bytes: float

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the whole study: recorded for what is finished, estimated for the rest."""
        return float(self.tasks.loc[self.tasks["device"] == "cuda", "hours"].sum())

    @property
    def jobs(self) -> int:
        """Jobs still to come."""
        return self.tasks.loc[~self.tasks["done"], "job"].nunique() + self.other_jobs


def estimate(
    work: pd.DataFrame,
    *,
    alerts: int,
    rates: pd.DataFrame,
    records: Mapping[str, Mapping] | None = None,
    device: str = "cuda",
    concurrency: int = 1,
    executor: str = "slurm",
    item_bytes: int = 2,
    channels: int = 3,
    other_jobs: int = 0,
) -> Plan:
    """Estimate what a study costs.

    Parameters
    ----------
    work : DataFrame
        As `work_of` gives.
    alerts : int
        Number of alerts that are stored.
    rates : DataFrame
        As `load_rates` gives.
    records : mapping
        Task -> its record, for what is finished of this study.
    device, executor : {"cuda", "cpu"}, {"slurm", "local"}
        Where tasks run, and who starts them (decides how late an end is noticed).
    concurrency, other_jobs : int
        Jobs at once, and jobs that are no tasks (data, tables, figures, page).
    item_bytes, channels : int
        Of a stored pixel, and of a triplet.
    """
    table = _costs(work, rates, device, records or {})
    left = table[~table["done"]]
    stamps = alerts * (channels * STAMP_SIZE**2 * item_bytes + CATALOGUE_BYTES)
    kept = (table["predicted"] * PREDICTION_BYTES + 4 * table["weights"] * table["parameters"]).sum()
    embedded = left["architecture"].map(_embedding_bytes).astype(float) * left["kept"]
    scratch = 4 * CHECKPOINT_COPIES * left["parameters"] + embedded
    return Plan(
        tasks=table[["run", "cell", "job", "stage", "done", "hours", "device", "basis", "source"]],
        device=device,
        concurrency=concurrency,
        other_jobs=other_jobs,
        wall_seconds=_wall_seconds(left, concurrency, NOTICE_SECONDS[executor]),
        disk_bytes=float(stamps + kept),
        scratch_bytes=float(scratch[left["weights"] > 0].nlargest(concurrency).sum()),
    )


def _embedding_bytes(architecture: str) -> int:
    """Of both float32 embeddings of an alert; nothing is said of settings that change their lengths."""
    spec = ENCODERS.get(named_size(architecture)[0], EncoderSpec)
    return 4 * (spec.features + METADATA_FEATURES)


def _costs(work: pd.DataFrame, rates: pd.DataFrame, device: str, records: Mapping[str, Mapping]) -> pd.DataFrame:
    """Cost of every task, that of a job's start with the first task that it still has to do."""
    costs = [_cost(task, rates, device, records.get(task["run"])) for task in work.to_dict("records")]
    table = work.assign(**pd.DataFrame(costs, index=work.index))
    first = ~table["done"] & ~table["job"].where(~table["done"], table["run"]).duplicated()
    return table.assign(hours=table["hours"] + first * table["devices"] * START_SECONDS / 3600)


def _cost(task: Mapping, rates: pd.DataFrame, device: str, record: Mapping | None) -> dict:
    """Hours of one device for a task, without the start of its job, and where the number comes from."""
    rate = rate_of(rates, task["architecture"], task["inputs"], device)
    cost = {"done": record is not None, "parameters": rate["parameters"], "device": device}
    if record and "wall_seconds" in record:
        on = str(record.get("device") or device).split(":")[0]
        hours = device_hours(record["wall_seconds"], record)
        return cost | {"hours": hours, "device": on, "basis": "recorded", "source": "recorded"}
    basis, source = ("guess", task["note"]) if task["note"] else (rate["kind"], rate["source"])
    return cost | {"hours": _seconds(task, rate) / 3600, "basis": basis, "source": source}


def _seconds(task: Mapping, rate: Mapping) -> float:
    """Seconds of one device. ASSUME: devices that share a run lose nothing by it."""
    whole = (task["trained"] + task["scored"] * FORWARD_SHARE) * rate["ms_per_alert"]
    return (whole + task["embedded"] * FORWARD_SHARE * rate["image_ms"]) / 1000


def _wall_seconds(left: pd.DataFrame, concurrency: int, notice: float) -> float:
    """Length of the queue: each job takes the next free place, those last that need others."""
    jobs = left.assign(seconds=left["hours"] * 3600 / left["devices"], order=left["stage"].map(STAGES.index))
    jobs = jobs.groupby("job", sort=False).agg({"seconds": "sum", "order": "first"}).sort_values("order", kind="stable")
    free = [0.0] * concurrency
    for seconds in jobs["seconds"]:
        heapq.heapreplace(free, free[0] + seconds + notice)
    return max(free)
