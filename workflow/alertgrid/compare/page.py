"""The comparison as one static page, in the looks of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from ..figures.differences import differences
from ..figures.words import choose_metrics, metric_title
from ..figures.writing import write_drawings
from ..files import write_text
from ..page import load_pictures, render
from ..page.provenance import provenance
from ..page.views import View, bounds, generic, plain, rounded, share, text, verdict, view
from .studies import Judged
from .words import counted, pairing


def write(
    output: Path, tables: Mapping[str, pd.DataFrame], studies: Sequence[Judged], reason: str, metrics: Sequence[str]
) -> Path:
    """Write index.html.

    Parameters
    ----------
    output : path
    tables : mapping
        As `write_comparison` writes them.
    studies : two Judged
        Before and after.
    reason : str
        Why the differences are not paired; empty where they are.
    metrics : sequence of str
        Metrics shown at the head.
    """
    table = tables["comparison"]
    shown = choose_metrics(table, metrics)
    names = [study.name for study in studies]
    values = {
        "title": f"{names[0]} and {names[1]}",
        "names": names,
        "pairing": pairing(reason),
        "paired": not reason,
        "counts": [counted(table, metric) for metric in shown],
        "pictures": _pictures(table, reason, shown, output.parent / "figures"),
        "shown": [_of_metric(table, metric) for metric in shown],
        "others": [_of_metric(table, metric) for metric in dict.fromkeys(table["metric"]) if metric not in shown],
        "changes": _changes(tables["changes"]),
        "splits": generic("splits", "Alerts and sources of each split", tables["splits"]),
        "lone": _lone(tables["lone_runs"]),
        "missing": generic("missing", "Runs that could not be judged", tables["missing"]),
        "provenance": {study.name: provenance(study.records) for study in studies},
        "csv": {name: f"{name}.csv" for name in tables},
    }
    write_text(output, render("compare.html.j2", values))
    return output


def _of_metric(table: pd.DataFrame, metric: str) -> View | None:
    """Both estimates and the difference of one metric."""
    columns = [
        text("cell", "cell"), share("training sources (%)", "fraction"), bounds("before", "before", "before_"),
        bounds("after", "after", "after_"), bounds("after minus before", "difference"), verdict("verdict", "verdict"),
        rounded("p after Holm", "p_holm", 2), plain("detectable", "detectable_holm", 3),
        plain("seeds", "n_seeds"), plain("seeds before", "n_seeds_before"), plain("seeds after", "n_seeds_after"),
        plain("test sources before", "n_sources_before"), plain("test sources after", "n_sources_after"),
    ]  # fmt: skip
    rows = table[table["metric"] == metric]
    methods = "; or ".join(dict.fromkeys(rows["method"]))
    note = (
        f"Intervals: {100 * rows['level'].iloc[0]:g} %; differences: {methods}. Detectable: the smallest true "
        "difference that this test set can show at the strictest step of Holm's correction."
    )
    return view("comparison", metric_title(metric), rows, columns, note)


def _changes(table: pd.DataFrame) -> View | None:
    """Settings, versions, revisions and hashes that differ."""
    columns = [text("what", "what"), text("before", "before"), text("after", "after"), plain("runs", "n_runs")]
    return view("changes", "Settings, versions, revisions and inputs", table, [*columns, text("first run", "run")])


def _lone(table: pd.DataFrame) -> View | None:
    """Cells that only one study has, or with other seeds."""
    columns = [
        text("cell", "cell"), share("training sources (%)", "fraction"), text("seeds before", "seeds_before"),
        text("seeds after", "seeds_after"), text("only", "only"),
    ]  # fmt: skip
    return view("lone_runs", "Cells or seeds that only one of them has", table, columns)


def _pictures(table: pd.DataFrame, reason: str, metrics: Sequence[str], folder: Path) -> list:
    """Forest plot of the differences, as the report draws them."""
    kind = "unpaired" if reason else "after"
    rows = table.assign(kind=kind, reference="before")
    if not reason:
        rows = rows.assign(n_sources=rows["n_sources_after"])
    write_drawings(folder, [("comparison", "differences", partial(differences, {"differences": rows}, metrics))])
    return load_pictures([folder], folder.parent)[0].get("comparison", [])
