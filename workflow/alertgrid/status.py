"""How far is the study? Answered from run records, checkpoints, locks and logs alone: the scheduler is not asked.

A run is *done* when its last file exists, *running* when its lock was touched lately (or its log, before it holds the
lock), *failed* when the trainer noted why or its log ends in an error, *stopped* when it has begun but none of this
holds (killed, out of time: it goes on from its checkpoint at the next attempt or start), and *waiting* otherwise.
Encoders that are pre-trained and searches of settings are listed beside the runs, from when they begin.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from . import locks
from .errors import StudyError
from .files import read_json
from .tuning.searches import SearchState, read_searches

STATES = ("done", "running", "waiting", "stopped", "failed")
# What the last lines of a log that ended in an error hold: our own message, Python's, the C library's.
ERROR = re.compile(r"^error: |^Traceback \(|^[\w.]*(Error|Exception)\b|Segmentation fault", re.MULTILINE)
# Between a job's first sign of life (its log) and its lock Python imports torch and opens the data.
STARTING_SECONDS = 60.0
TAIL_BYTES = 2048
ENCODERS = "encoders/"  # before the names of pre-trainings
SEARCHES = "tuning/"  # before the cells that are searched


@dataclass(frozen=True)
class RunStatus:
    """State of one run.

    `epoch` is the last finished one of `epochs` (of a search: trials that came to an end); `seconds_left` an estimate
    for running runs; `gpu_hours` what it has used of GPUs so far; `message` the last line of the log at `log` for runs
    that failed or stopped.
    """

    run: str
    state: str
    epoch: int = 0
    epochs: int = 0
    seconds_left: float | None = None
    gpu_hours: float = 0.0
    message: str = ""
    log: str = ""


def study_status(folder: str | Path, now: float | None = None, runs: Collection[str] | None = None) -> list[RunStatus]:
    """State of every run of a study, after that of its pre-trainings.

    Parameters
    ----------
    folder : path
        `results/{study}`.
    now : float
        Time of the question (seconds since 1970); the present when None.
    runs : collection of str, optional
        Only these runs are looked at.

    Raises
    ------
    StudyError
        The study has no grid.csv yet.
    """
    folder = Path(folder)
    grid = folder / "grid.csv"
    if not grid.exists():
        raise StudyError(str(grid), "there is none", "a study that has been started", "check --study, or run snakemake")
    now = time.time() if now is None else now
    jobs = pd.read_csv(grid)
    jobs = jobs.assign(pack=jobs.get("pack", jobs["run"]))
    live = {job.pack for job in jobs.itertuples() if locks.fresh(folder / "checkpoints" / job.run / "lock.json")}
    asked = jobs if runs is None else jobs[jobs["run"].isin(runs)]
    found = [status_of(folder, job.run, now, job.pack, job.pack in live) for job in asked.itertuples()]
    return [*_encoders(folder, now), *_searches(folder, now), *found]


def status_of(folder: Path, run: str, now: float, pack: str, live: bool) -> RunStatus:
    """State of one run, `run` being `{cell}/f{fraction}/s{seed}`, in a job that trains some run just now (`live`)."""
    checkpoint = folder / "checkpoints" / run
    # What a job had finished before it failed was removed by Snakemake; the trainer kept it.
    records = [path for path in (folder / "runs" / run / "run.json", checkpoint / "finished/run.json") if path.exists()]
    if records:
        return _done(run, read_json(records[0]))
    return _unfinished(checkpoint, run, _log_of(folder, pack), now, live)


def _encoders(folder: Path, now: float) -> list[RunStatus]:
    """States of the pre-trainings that have begun. The manifest is written last, so it says that all is there."""
    found = []
    for log in sorted((folder / "logs" / "pretrain").glob("*.log")):
        run = f"{ENCODERS}{log.stem}"
        manifest, checkpoint = folder / run / "manifest.json", folder / "checkpoints" / run
        state = _done(run, read_json(manifest)) if manifest.exists() else _unfinished(checkpoint, run, log, now)
        found.append(state)
    return found


def _searches(folder: Path, now: float) -> list[RunStatus]:
    """States of the searches that have begun."""
    logs = {log.stem: log for log in (folder / "logs" / "tune").glob("*.log")}
    known = {search.cell: search for search in read_searches(folder)}
    places = {cell: folder / "checkpoints" / f"{SEARCHES}{cell}" for cell in sorted(logs | known)}
    return [_search(known.get(cell, SearchState(cell, place)), logs.get(cell), now) for cell, place in places.items()]


def _search(search: SearchState, log: Path | None, now: float) -> RunStatus:
    """State of a search; its trials are counted in place of epochs."""
    hours = sum(_gpu_hours(record.get("wall_seconds", 0.0), record) for record in search.settled)
    hours += sum(_gpu_hours(progress.get("seconds", 0.0), progress) for progress in search.begun)
    counted = {"epoch": len(search.settled), "epochs": search.asked, "gpu_hours": hours}
    run = f"{SEARCHES}{search.cell}"
    if search.found:
        return RunStatus(run, "done", **counted)
    return replace(_unfinished(search.folder, run, log, now), **counted)


def _unfinished(checkpoint: Path, run: str, log: Path | None, now: float, live: bool = False) -> RunStatus:
    """State of a run without its last file, from its folder of checkpoints and the log of its job, if there is one."""
    progress = _progress(checkpoint / "progress.json")
    counted = _counted(progress)
    if locks.fresh(checkpoint / "lock.json"):
        return RunStatus(run, "running", seconds_left=_seconds_left(progress, now), **counted)
    if (failed := checkpoint / "failed.json").exists():
        return RunStatus(run, "failed", message=_reason(failed), log=str(log or ""), **counted)
    if live:
        return RunStatus(run, "waiting")
    if log is None:
        return RunStatus(run, "stopped", message="without a log", **counted) if progress else RunStatus(run, "waiting")
    if ERROR.search(_tail(log)):
        return RunStatus(run, "failed", message=last_line(log), log=str(log), **counted)
    if now - log.stat().st_mtime < STARTING_SECONDS:
        return RunStatus(run, "running", **counted)
    return RunStatus(run, "stopped", message=last_line(log), log=str(log), **counted)


def _done(run: str, record: dict[str, Any]) -> RunStatus:
    """A finished run, from its record."""
    epochs, hours = record.get("epochs", 0), _gpu_hours(record.get("wall_seconds", 0.0), record)
    return RunStatus(run, "done", epoch=epochs, epochs=epochs, gpu_hours=hours)


def device_hours(seconds: float, record: Mapping[str, Any]) -> float:
    """Hours of one device in this time: all the devices that share a run count."""
    return seconds * record.get("devices", 1) / 3600


def _gpu_hours(seconds: float, record: Mapping[str, Any]) -> float:
    """Hours of one GPU in this time, none on a processor."""
    return device_hours(seconds, record) if str(record.get("device", "")).startswith("cuda") else 0.0


def _reason(path: Path) -> str:
    """Why the last attempt failed, in one line."""
    return (read_json(path)["reason"].splitlines() or ["unknown"])[0]


def _progress(path: Path) -> dict[str, Any]:
    """Content of a progress file, empty when there is none."""
    return read_json(path) if path.exists() else {}


def _counted(progress: dict[str, Any]) -> dict[str, Any]:
    """Epochs and GPU-hours of a run that is not done."""
    counts = {name: progress.get(name, 0) for name in ("epoch", "epochs")}
    return counts | {"gpu_hours": _gpu_hours(progress.get("seconds", 0.0), progress)}


def _seconds_left(progress: dict[str, Any], now: float) -> float | None:
    """Time until the last planned epoch at the pace so far; None before the first epoch has ended."""
    epoch = progress.get("epoch", 0)
    if not epoch:
        return None
    left = progress["seconds"] / epoch * (progress["epochs"] - epoch)
    return max(left - (now - progress["updated"]), 0.0)


def _log_of(folder: Path, pack: str) -> Path | None:
    """Log of the job that makes the run: the newest there is."""
    logs = list((folder / "logs").glob(f"*/{pack}.log"))
    return max(logs, key=lambda path: path.stat().st_mtime, default=None)


def last_line(log: str | Path) -> str:
    """Last line of a log that is not empty."""
    return next((line.strip() for line in reversed(_tail(log).splitlines()) if line.strip()), "(empty log)")


def _tail(log: str | Path) -> str:
    """The end of a log; the rest is not read."""
    with open(log, "rb") as file:
        file.seek(max(file.seek(0, 2) - TAIL_BYTES, 0))
        return file.read().decode("utf-8", errors="replace")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: `42 s`, `7 min`, `3 h 05 min`."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"


def describe(statuses: Iterable[RunStatus], states: Iterable[str] = STATES) -> str:
    """The report: a line for every run in one of `states`, then counts and GPU-hours of all."""
    statuses = list(statuses)
    lines = [_line(status) for status in statuses if status.state in set(states)]
    beside = {"encoders begun": ENCODERS, "searches begun": SEARCHES}
    counts = [_counts("runs", [status for status in statuses if not status.run.startswith(tuple(beside.values()))])]
    for what, prefix in beside.items():
        part = [status for status in statuses if status.run.startswith(prefix)]
        counts += [_counts(what, part)] * bool(part)
    used = f"{sum(status.gpu_hours for status in statuses):.2f} GPU-hours used"
    return "\n".join([*lines, "; ".join([*counts, used])])


def _counts(what: str, statuses: list[RunStatus]) -> str:
    """How many are in each state."""
    counts = {state: sum(status.state == state for status in statuses) for state in STATES}
    return f"{len(statuses)} {what}: " + ", ".join(f"{count} {state}" for state, count in counts.items())


def _line(status: RunStatus) -> str:
    """One run."""
    text = f"{status.state:8} {status.run}"
    if status.run.startswith(SEARCHES) and status.epochs:
        text += f"  {status.epoch} of {status.epochs} trials"
    elif status.state == "running":
        epoch = f"epoch {status.epoch} of {status.epochs}" if status.epochs else "starting"
        text += f"  {epoch}, {duration(status.seconds_left)} left"
    if status.state in ("failed", "stopped"):
        kept = status.epoch and not status.run.startswith(SEARCHES)
        kept = f" (checkpoint of epoch {status.epoch} kept)" if kept else ""
        note = ", goes on at the next attempt or start:" if status.state == "stopped" else " "
        where = f"\n         {status.log}" if status.log else ""
        return f"{text}{kept}{note} {status.message}{where}"
    return text


def failures(folder: str | Path, most: int = 10) -> str:
    """Lines about runs that failed or stopped, `most` at most; empty when there are none (or no grid yet)."""
    if not (Path(folder) / "grid.csv").exists():
        return ""
    lines = [_line(status) for status in study_status(folder) if status.state in ("failed", "stopped")]
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return "".join(f"{line}\n" for line in [*lines[:most], *more])


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m alertgrid status`."""
    parser.add_argument("--study", required=True, help="name of the study, as in config.yaml")
    parser.add_argument("--results", default="results", help="folder that holds the studies' folders")
    parser.add_argument("--state", choices=STATES, action="append", help="list only these runs (may be repeated)")
    parser.add_argument("--csv", action="store_true", help="print a table for programs instead")


def run_status(args: argparse.Namespace) -> int:
    """Print the state of a study; 1 if a run has failed."""
    statuses = study_status(Path(args.results) / args.study)
    if args.csv:
        print(pd.DataFrame(map(asdict, statuses)).to_csv(index=False), end="")
    else:
        print(describe(statuses, args.state or STATES))
    return int(any(status.state == "failed" for status in statuses))
