"""What a page says of data efficiency: every point of the curves, and the data multipliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..figures.words import metric_title
from ..multiplier import OPEN_ENDS, in_words
from .views import SAMPLE, Cell, Column, View, bounds, levels, plain, sort_key, text, titled, view

_FACTOR = ("status", "multiplier", "low", "high")
Tables = Mapping[str, pd.DataFrame]


def points(tables: Tables, metrics: Sequence[str]) -> View | None:
    """Metric against training sources."""
    table = titled(tables.get("efficiency"), metrics)
    columns = [
        text("cell", "cell"), plain("training sources", "n_train_sources"), plain("training alerts", "n_train_alerts"),
        text("metric", "metric"), bounds("value (interval)"), *SAMPLE,
    ]  # fmt: skip
    return view("efficiency", "Every point", table, columns, levels(table))


def multiplier(tables: Tables) -> View | None:
    """Data multiplier per pre-trained cell."""
    table = tables.get("multiplier")
    if table is None or table.empty:
        return None
    table = table.assign(metric=table["metric"].map(metric_title))
    columns = [
        text("cell", "cell"), text("metric", "metric"), Column("times fewer sources (interval)", _factor, _FACTOR),
        text("against", "reference"), plain("fractions", "n_fractions"), *SAMPLE[:2],
    ]  # fmt: skip
    is_open = (table["low"] == 0) | np.isinf(table["high"])
    note = f"{levels(table)} {OPEN_ENDS if is_open.any() else ''}".strip()
    return view("multiplier", "Data multiplier", table, columns, note)


def _factor(row: Mapping) -> Cell:
    """A multiplier with its interval, open ends in words."""
    return Cell(in_words(*(row[name] for name in _FACTOR)), sort_key(row["multiplier"]))
