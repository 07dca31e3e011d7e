"""What differs between two studies apart from their results: runs, settings, versions, revisions, inputs."""

from __future__ import annotations

import pandas as pd

from .studies import Judged

KEYS = ["cell", "fraction", "seed"]
# Columns of the flattened run records that say how a run was made; the others are what came out of it.
PREFIXES = ("settings.", "versions.", "initial_weights.", "input_hashes.", "model_hashes.", "hardware.")
PLAIN = ("git_revision", "revision", "device", "precision", "precision_changed", "threads", "draw", "micro_batch")


def changes(before: Judged, after: Judged) -> pd.DataFrame:
    """Settings, versions, revisions, hardware and input hashes that differ in runs which both studies have.

    Returns
    -------
    DataFrame
        what, before, after, n_runs with exactly this change, run (the first of them). Empty text: not recorded there.
    """
    columns = ["what", "before", "after", "n_runs", "run"]
    if before.records.empty or after.records.empty:
        return pd.DataFrame(columns=columns)
    both = before.records.merge(after.records, on=KEYS, suffixes=(" before", " after"))
    rows = []
    for name in _described(before.records, after.records):
        values = [_column(both, name, side, study.records) for side, study in (("before", before), ("after", after))]
        differs = (values[0] != values[1]).to_numpy()
        table = pd.DataFrame({"before": values[0], "after": values[1], "run": both["run before"]})[differs]
        for (old, new), part in table.groupby(["before", "after"], sort=False):
            rows.append((name, old, new, len(part), part["run"].iloc[0]))
    return pd.DataFrame(rows, columns=columns)


def _described(*records: pd.DataFrame) -> list[str]:
    """Columns of either table that say how a run was made, in their order."""
    names = dict.fromkeys(column for table in records for column in table)
    return [name for name in names if name.startswith(PREFIXES) or name in PLAIN]


def _column(both: pd.DataFrame, name: str, side: str, records: pd.DataFrame) -> pd.Series:
    """Values of one side as text, empty where they are missing."""
    if name not in records:
        return pd.Series("", index=both.index)
    column = both[f"{name} {side}" if f"{name} {side}" in both else name]
    return column.map(lambda value: "" if pd.isna(value) else _text(value))


def _text(value: object) -> str:
    """Whole numbers alike, whether a column with gaps made them floats or not."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def lone_runs(before: Judged, after: Judged) -> pd.DataFrame:
    """Cells and fractions whose judged seeds are not the same on both sides.

    Returns
    -------
    DataFrame
        cell, fraction, seeds_before, seeds_after (empty: none), only ("before", "after", or "" where both have some).
    """
    found = [_seeds(study) for study in (before, after)]
    rows = []
    for key in dict.fromkeys([*found[0], *found[1]]):
        old, new = (seeds.get(key, []) for seeds in found)
        if old != new:
            only = "after" if not old else "before" if not new else ""
            rows.append((*key, *(", ".join(map(str, seeds)) for seeds in (old, new)), only))
    return pd.DataFrame(rows, columns=["cell", "fraction", "seeds_before", "seeds_after", "only"])


def _seeds(study: Judged) -> dict[tuple[str, float], list[int]]:
    """Judged seeds of every cell and fraction; that of another classifier counts as 0."""
    gone = {run for run, _ in study.problems}
    kept = study.grid[~study.grid["run"].isin(gone)]
    own = {(cell, float(f)): sorted(part["seed"]) for (cell, f), part in kept.groupby(["cell", "fraction"], sort=False)}
    cells = set(study.grid["cell"])
    return own | {key: [0] for key in study.results if key[0] not in cells}
