"""Tables from the runs' own records: runs, histories, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import read_json
from ..grid import RUN_FILES
from ..status import ENCODERS, SEARCHES, RunStatus, study_status
from .dictionary import SCHEMAS


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level, keys joined by dots; lists as JSON text."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def read_records(grid: pd.DataFrame, runs: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[tuple[str, str]]]:
    """Read run.json and history.csv of every run of the grid.

    Returns
    -------
    records : DataFrame
        One row per run whose run.json could be read, nested keys joined by dots.
    histories : DataFrame
        All histories, with cell, fraction and seed.
    problems : list of (run, reason)
    """
    records, histories, problems = [], [], []
    for row in grid.itertuples():
        folder = runs / row.run
        if not folder.is_dir():
            problems.append((row.run, "no folder"))
            continue
        for name, read, rows in (("run.json", _record, records), ("history.csv", _history, histories)):
            try:
                rows.append(read(folder / name, row))
            except (OSError, ValueError) as error:
                problems.append((row.run, f"{name}: {_short(error)}"))
    history = pd.concat(histories, ignore_index=True) if histories else pd.DataFrame()
    return pd.DataFrame(records), history, problems


def _record(path: Path, row: Any) -> dict[str, Any]:
    """One flattened run.json, with the grid's own names where the record has none."""
    record = read_json(path)
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    own = {"run": row.run, "cell": row.cell, "fraction": row.fraction, "seed": row.seed}
    return own | flatten(record) | own


def _history(path: Path, row: Any) -> pd.DataFrame:
    """One history.csv with the keys of its run first."""
    history = pd.read_csv(path)
    if "epoch" not in history:
        raise ValueError("no column epoch")
    keys = pd.DataFrame({"cell": row.cell, "fraction": row.fraction, "seed": row.seed}, index=history.index)
    return pd.concat([keys, history], axis=1)


def read_entrant(predictions: str | Path) -> pd.DataFrame:
    """One row of entrants.csv, from the run.json beside an entrant's predictions."""
    path = Path(predictions)
    record = read_json(path.with_name("run.json"))
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    flat = flatten(record) | {"cell": path.parent.name}
    flat["alerts_per_second"] = flat["n_alerts"] / flat["wall_seconds"] if flat.get("wall_seconds") else None
    return pd.DataFrame([flat]).reindex(columns=list(SCHEMAS["entrants"]))


def read_machines(path: str | Path) -> pd.DataFrame:
    """Rows of machines.csv, one a device, from the JSON that a timing job left; the file has the job's name."""
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(machine, dict) for machine in found.values()):
        raise ValueError("not a JSON object of devices")
    rows = [{"job": Path(path).stem, **machine} for machine in found.values()]
    return pd.DataFrame(rows).reindex(columns=list(SCHEMAS["machines"]))


def missing_table(problems: Sequence[tuple[str, str]], grid: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """missing.csv: one row per run, pre-training, search or input of the report, with all that is wrong with it.

    Snakemake removes what a failed job had made, so a run without a record is no proof that it never began: the study's
    `folder` (its logs and checkpoints) says why there is none.

    Parameters
    ----------
    problems : sequence of (name, reason)
        What the tables could not read.
    grid : DataFrame
        Its column run tells runs from other inputs.
    folder : path
        results/{study}.
    """
    table = pd.DataFrame(problems, columns=["run", "reason"])
    table = table.groupby("run", sort=False)["reason"].agg("; ".join).reset_index()
    table["what"] = table["run"].isin(set(grid["run"])).map({True: "run", False: "input"})
    runs = table["run"][table["what"] == "run"]
    asked = [run for run in runs if not any((folder / "runs" / run / name).exists() for name in RUN_FILES)]
    states = study_status(folder, runs=asked) if asked else []
    states = [status for status in states if status.run in asked or status.state != "done"]
    told = [(status.run, _stands(status), _kind(status), status.log) for status in states]
    known = pd.DataFrame(told, columns=["run", "reason", "what", "log"])
    return pd.concat([known, table[~table["run"].isin(known["run"])]], ignore_index=True)


def _kind(status: RunStatus) -> str:
    """What the state is of."""
    kinds = {ENCODERS: "encoder", SEARCHES: "search"}
    return next((kind for prefix, kind in kinds.items() if status.run.startswith(prefix)), "run")


def _stands(status: RunStatus) -> str:
    """How a run without its record stands, in words."""
    if status.state == "waiting":
        return "has not started"
    if status.state == "done":
        return "was trained, and its files were removed with those of another run: the next start brings them back"
    unit = "trial" if _kind(status) == "search" else "epoch"
    done = f"{status.state} after {unit} {status.epoch}" if status.epoch else status.state
    return f"{done}: {status.message}" if status.message else done


def _short(error: Exception) -> str:
    """One line of an error."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file: the run has not finished"
    return f"cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__})"


def training_sizes(run_records: pd.DataFrame) -> dict[tuple[str, float], tuple[float, float]]:
    """Mean training sources and alerts per cell and fraction."""
    names = ["n_train_sources", "n_train_alerts"]
    if not len(run_records) or not set(names) <= set(run_records):
        return {}
    numbers = run_records[names].apply(pd.to_numeric, errors="coerce")
    means = numbers.groupby([run_records["cell"], run_records["fraction"].astype(float)]).mean()
    return {key: tuple(row) for key, row in zip(means.index, means.to_numpy(), strict=True)}
