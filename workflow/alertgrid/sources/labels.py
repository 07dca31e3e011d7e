"""The label table of a folder of alert packets, and a list of further detections: CSV files made by the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..columns import SOURCE_SETS, SPLITS
from ..errors import StudyError


def read_labels(path: str | Path) -> pd.DataFrame:
    """Read the labels of objects.

    Parameters
    ----------
    path : path
        CSV with the columns objectId and label (0 or 1), and optionally source_set and split; other columns are left
        alone. An object may stand in several rows that agree.

    Returns
    -------
    DataFrame
        Indexed by objectId, each once; columns label (int64), source_set, split ("" where the table has none).

    Raises
    ------
    StudyError
        The table is missing, lacks a column, holds a value outside its list, or contradicts itself; names the row.
    """
    table = _read(path, ["objectId", "label"], ["source_set", "split"])
    label = pd.to_numeric(table["label"], errors="coerce")
    _demand(path, table, "objectId", table["objectId"].notna(), "the name of an object")
    _demand(path, table, "label", label.isin([0, 1]), "0 or 1")
    table["label"] = label.astype(np.int64)
    if "source_set" not in table:
        # ASSUME: without the column every negative counts as a reject, so splits are stratified by label alone.
        table["source_set"] = table["label"].map({1: "trues", 0: "rejects"})
    if "split" not in table:
        table["split"] = ""
    _demand(path, table, "source_set", table["source_set"].isin(SOURCE_SETS), f"one of {', '.join(SOURCE_SETS)}")
    table["split"] = table["split"].fillna("")
    _demand(path, table, "split", table["split"].isin(["", *SPLITS]), f"one of {', '.join(SPLITS)}, or nothing")
    agreed = table.drop_duplicates()
    _demand(path, agreed, "objectId", ~agreed["objectId"].duplicated(), "one label, source set and split per object")
    return agreed.set_index("objectId")


def read_detections(path: str | Path) -> pd.DataFrame:
    """Read further detections of objects: columns objectId, jd (days), magpsf (mag); other columns are left alone.

    Raises
    ------
    StudyError
        The table is missing, lacks a column, or holds something else than numbers; names the row.
    """
    table = _read(path, ["objectId", "jd", "magpsf"], [])
    for name in ("jd", "magpsf"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        _demand(path, table, name, np.isfinite(numbers), "a finite number")
        table[name] = table[name].astype(np.float64)
    return table


def _read(path: str | Path, needed: list[str], optional: list[str]) -> pd.DataFrame:
    """Read columns of a CSV as text."""
    try:
        table = pd.read_csv(path, dtype="str", usecols=lambda name: name in (*needed, *optional))
    except (OSError, ValueError) as error:
        remedy = "correct data.labels or data.history"
        raise StudyError(str(path), f"cannot be read ({error})", "a CSV file with a header", remedy) from None
    missing = [name for name in needed if name not in table]
    if missing:
        raise StudyError(str(path), f"columns missing: {', '.join(missing)}", ", ".join(needed), "add them")
    return table


def _demand(path: str | Path, table: pd.DataFrame, name: str, good: pd.Series, expected: str) -> None:
    """Refuse the first row that is not good."""
    if not good.all():
        row = table.index[~good][0]
        where = f"{path}, row {row} counted from 0 (line {row + 2})"
        raise StudyError(where, f"{name} is {table.loc[row, name]}", expected, "correct or remove the row")
