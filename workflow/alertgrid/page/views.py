"""Tables -> what a page shows of them: heads with units, cells with their text and the value they are sorted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..figures.words import choose_metrics, metric_title, one_seed_words

LONG = 25  # rows; a longer table is folded
_NAMED = 3  # methods of intervals in the note of a table


@dataclass(frozen=True)
class Cell:
    """Text of one cell, the value it is sorted by, and a class for its looks."""

    text: str
    sort: str
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a page's table: its head and how a row of the data becomes a cell."""

    head: str
    cell: Callable[[Any], Cell]
    needs: tuple[str, ...]
    numeric: bool = True


@dataclass(frozen=True)
class View:
    """A table ready for the template."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    @property
    def folded(self) -> bool:
        """Whether the table is too long to be open at first sight."""
        return len(self.rows) > LONG


def number(value: Any, digits: int = 3) -> str:
    """A number with fixed decimals and thousands separators; empty where it is unknown."""
    if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        return ""
    return f"{value:,.{digits}f}"


def significant(value: Any, digits: int = 3) -> str:
    """A number with so many significant digits, never in powers of ten unless tiny."""
    if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        return ""
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def interval(estimate: Any, low: Any, high: Any, digits: int = 3) -> str:
    """Estimate with its interval, "0.930 (0.910 to 0.950)"; without ends where they are unknown."""
    text, ends = number(estimate, digits), [number(low, digits), number(high, digits)]
    return f"{text} ({ends[0]} to {ends[1]})" if text and all(ends) else text


def sort_key(value: Any) -> str:
    """Value to sort by; empty is sorted last."""
    if isinstance(value, (int, float, np.number)):
        return repr(float(value)) if np.isfinite(value) else ""
    said = "" if value is None else str(value)
    # Words that look like a number would be sorted as one, beside others as words: no order at all.
    return f"'{said}" if _looks_numeric(said) else said


def _looks_numeric(said: str) -> bool:
    """Whether a browser would take these words for a number."""
    try:
        float(said)
    except ValueError:
        return False
    return True


def text(head: str, name: str) -> Column:
    """A column of words."""
    return Column(head, lambda row: Cell(_words(row[name]), sort_key(row[name])), (name,), numeric=False)


def _words(value: Any) -> str:
    """A value as text; empty where it is missing."""
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)


def plain(head: str, name: str, digits: int = 0, scale: float = 1.0) -> Column:
    """A column of numbers with fixed decimals."""
    return Column(head, lambda row: Cell(number(row[name] * scale, digits), sort_key(row[name])), (name,))


def rounded(head: str, name: str, digits: int = 3, scale: float = 1.0) -> Column:
    """A column of numbers with significant digits."""
    return Column(head, lambda row: Cell(significant(row[name] * scale, digits), sort_key(row[name])), (name,))


def share(head: str, name: str, digits: int = 0) -> Column:
    """A column of shares in percent; the unit stands in the head."""
    return plain(head, name, digits, 100.0)


def bounds(head: str, name: str = "estimate", prefix: str = "", digits: int = 3) -> Column:
    """A column of estimates with intervals, from `name`, `{prefix}low` and `{prefix}high`."""
    names = (name, f"{prefix}low", f"{prefix}high")
    return Column(head, lambda row: Cell(interval(*(row[key] for key in names), digits), sort_key(row[name])), names)


def verdict(head: str, name: str) -> Column:
    """A column of verdicts, marked by class as well as by word."""
    return Column(
        head, lambda row: Cell(_words(row[name]), sort_key(row[name]), f"verdict {row[name]}"), (name,), numeric=False
    )


def _widened(cell: Cell) -> Cell:
    """Mark a cell of many words, so that its column keeps a readable width on a small screen."""
    return replace(cell, kind="long") if len(cell.text) > 36 and " " in cell.text and not cell.kind else cell


def view(name: str, title: str, frame: pd.DataFrame | None, columns: Sequence[Column], note: str = "") -> View | None:
    """Make a table; None where the data are missing or empty. Columns that the data lack are left out."""
    if frame is None or frame.empty:
        return None
    kept = [column for column in columns if set(column.needs) <= set(frame)]
    rows = [[_widened(column.cell(row)) for column in kept] for row in frame.to_dict("records")]
    return View(name, title, kept, rows, note) if kept else None


def generic(name: str, title: str, frame: pd.DataFrame | None, note: str = "") -> View | None:
    """Make a table of all columns as they are: for tables whose columns are free."""
    if frame is None:
        return None
    columns = []
    for column in frame:
        head = str(column).replace("_", " ")
        columns.append(rounded(head, column, 6) if pd.api.types.is_numeric_dtype(frame[column]) else text(head, column))
    return view(name, title, frame, columns, note)


def titled(table: pd.DataFrame | None, metrics: Sequence[str]) -> pd.DataFrame | None:
    """Rows of the chosen metrics, which are called by their titles."""
    if table is None or table.empty:
        return table
    table = table[table["metric"].isin(choose_metrics(table, metrics))]
    return table.assign(metric=table["metric"].map(metric_title))


SAMPLE = (plain("seeds", "n_seeds"), plain("test sources", "n_sources"), plain("test alerts", "n_alerts"))


def levels(table: pd.DataFrame | None) -> str:
    """Level and methods of the intervals that there are, and why others have none, in one or two sentences."""
    if table is None or not {"level", "method", "low"} <= set(table):
        return ""
    known = table[table["low"].notna()]
    kinds = list(known["method"].value_counts(sort=True).index)
    rest = one_seed_words(kinds, _NAMED)
    kinds = kinds[:_NAMED] + (["as the CSV says"] if len(kinds) > _NAMED else [])
    reasons = {said.removeprefix("none: ") for said in table["method"].dropna() if said.startswith("none: ")}
    said = []
    if len(known):
        shown = " and ".join(f"{100 * level:g} %" for level in sorted(set(known["level"].dropna())))
        said.append(f"Intervals: {shown}; {'; or '.join(kinds)}{rest}.")
    said += [f"No interval: {'; or '.join(sorted(reasons))}."] if reasons else []
    return " ".join(said)
