"""What is not in the report: runs and pre-trainings that failed or have not begun, inputs that could not be used."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from .views import View, text, view

Tables = Mapping[str, pd.DataFrame]


def missing(tables: Tables) -> View | None:
    """Runs, pre-trainings and searches that are not in this report, with the reason and where to read more."""
    columns = [text("run", "run"), text("reason", "reason"), text("log", "log")]
    return view("missing", "Failed or missing runs", lost(tables, ("run", "encoder", "search")), columns)


def unread(tables: Tables) -> View | None:
    """Other inputs that were missing or incomplete: timings, entrants, scores of encoders."""
    columns = [text("input", "run"), text("reason", "reason")]
    return view("missing", "Inputs that are missing or incomplete", lost(tables, ("input",)), columns)


def lost(tables: Tables, kinds: Collection[str]) -> pd.DataFrame:
    """Rows of missing.csv about these kinds of things; none where there is no such table."""
    table = tables.get("missing")
    return pd.DataFrame() if table is None else table[table["what"].isin(kinds)]
