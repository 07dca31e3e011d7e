"""How far is a search of settings? Read from its journal and the records of its trials alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..files import read_json

SEARCHES = "checkpoints/tuning"  # of the journals, below the study's folder: {cell}/{what is searched}
RESULTS = "tuning"  # of what was found


@dataclass(frozen=True)
class SearchState:
    """One search.

    `settled` holds a record for each trial that came to an end of its own (run.json where it left one; `wall_seconds`
    and `device` at least), `begun` how far the others are; `asked` is the number of trials in all, 0 if unknown.
    `found` says whether the best settings are written.
    """

    cell: str
    folder: Path
    asked: int = 0
    settled: list[Mapping[str, Any]] = field(default_factory=list)
    begun: list[Mapping[str, Any]] = field(default_factory=list)
    found: bool = False


def read_searches(folder: str | Path) -> list[SearchState]:
    """Every search of the study whose results lie in `folder`, in the order of their cells."""
    folder = Path(folder)
    journals = {path.parents[1].name for path in (folder / SEARCHES).glob("*/*/journal.log")}
    results = {path.parent.name for path in (folder / RESULTS).glob("*/best.yaml")}
    return [_search(folder, cell) for cell in sorted(journals | results)]


def _search(folder: Path, cell: str) -> SearchState:
    """The newest search of a cell; one whose journal is gone has records without times."""
    best = folder / RESULTS / cell / "best.yaml"
    count = yaml.safe_load(best.read_text(encoding="utf-8"))["trials"] if best.exists() else 0
    journals = (folder / SEARCHES / cell).glob("*/journal.log")
    newest = max(journals, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return SearchState(cell, folder / SEARCHES / cell, count, settled=[{}] * count, found=True)
    return _from_journal(newest, cell, count)


def _from_journal(journal: Path, cell: str, count: int) -> SearchState:
    """What a journal and the folders of its trials tell."""
    import optuna  # takes a second, which only studies with a search need

    from .journal import settled

    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    try:
        study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))
    except KeyError:  # the journal is being begun
        return SearchState(cell, journal.parent, count)
    places = {trial.user_attrs.get("folder"): trial for trial in settled(study)}
    trials = {path.name: path for path in sorted((journal.parent / "trials").glob("*"))}
    begun = [_progress(path) for name, path in trials.items() if name not in places]
    records = [_record(trials.get(name), trial) for name, trial in places.items()]
    device = next((record["device"] for record in [*records, *begun] if record.get("device")), "")
    return SearchState(
        cell,
        journal.parent,
        study.user_attrs.get("trials", count),
        [{"device": device, **record} for record in records],
        begun,
        found=count > 0,
    )


def _record(folder: Path | None, trial: Any) -> Mapping[str, Any]:
    """Record of a trial; of one that was ended early, and left none, the time between its beginning and its end."""
    record = folder / "run/run.json" if folder else None
    if record and record.exists():
        return read_json(record)
    return {"wall_seconds": trial.duration.total_seconds() if trial.duration else 0.0}


def _progress(folder: Path) -> Mapping[str, Any]:
    """How far a trial is that has not come to an end."""
    path = folder / "checkpoints/progress.json"
    return read_json(path) if path.exists() else {}
