"""Which alerts are hard? Metrics by magnitude, source set and band; scores and confusion against magnitude."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .policies import magnitude_bin
from .style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    Drawing,
    Skip,
    colour_map,
    finish,
    handle,
    house_style,
    marker_map,
    new_figure,
)
from .words import LEADERS, choose_metrics, interval_words, leaders, metric_title, need, sample_words, span

MAX_CELLS = 4  # lines a panel can carry
FEWEST = 10  # test sources in a bin of magnitude, below which an interval says nothing
_COLUMNS = ("cell", "fraction", "stratum", "metric", "estimate", "low", "high", "n_sources")
_OUTCOMES = ("true positives", "false negatives", "false positives", "true negatives")


def strata(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """The first metric against magnitude, and accuracy by source set and band, one mark a cell."""
    table = need(tables, "strata", _COLUMNS)
    cells = leaders(tables, table["cell"], MAX_CELLS)
    metric = choose_metrics(table, metrics)[0]
    table = table[table["cell"].isin(cells)]
    bright = _with_magnitude(table[(table["metric"] == metric) & (table["n_sources"] >= FEWEST)])
    groups = table[(table["metric"] == "accuracy") & ~table["stratum"].str.startswith("mag=")]
    bright, groups = (part[part["low"].notna()] for part in (bright, groups))
    if bright.empty and groups.empty:
        raise Skip("table strata.csv has no interval")
    shown = pd.concat([bright, groups])
    with house_style():
        page, column = (_by_stratum(bright, groups, cells, metric, narrow) for narrow in (False, True))
        caption = (
            f"{metric_title(metric)} against the alert's magnitude (bins of {FEWEST} sources or more) and accuracy "
            f"by source set and band at the largest training fraction ({len(cells)} cells: {LEADERS}), "
            f"with {interval_words(shown)}: {sample_words(shown)} in each "
            "of them. strata.csv has every metric and cell."
        )
        yield Drawing("strata", page, "Performance by magnitude, source set and band", caption, column)


def _with_magnitude(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of bins of magnitude, with their middle and edges."""
    edges = table["stratum"].map(magnitude_bin)
    table, edges = table[edges.notna()], edges[edges.notna()]
    low, high = ([edge[i] for edge in edges] for i in (0, 1))
    return table.assign(mag_low=low, mag_high=high, magnitude=(np.array(low) + np.array(high)) / 2)


def _by_stratum(bright: pd.DataFrame, groups: pd.DataFrame, cells: Sequence[str], metric: str, narrow: bool) -> Figure:
    """Magnitudes on the left (above), groups on the right (below)."""
    figure = new_figure(COLUMN_WIDTH if narrow else PAGE_WIDTH, 4.8 if narrow else 2.9)
    left, right = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    colours, markers = colour_map(cells), marker_map(cells)
    names = list(dict.fromkeys(groups["stratum"]))
    for i, cell in enumerate(cells):
        look = {"color": colours[cell], "marker": markers[cell], "markersize": 2.8}
        shift = i - (len(cells) - 1) / 2
        rows = bright[bright["cell"] == cell].sort_values("magnitude")
        _marks(left, rows["magnitude"] + 0.03 * shift, rows, {**look, "linewidth": 0.8})
        rows = groups[groups["cell"] == cell]
        _marks(
            right, [names.index(name) + 0.14 * shift for name in rows["stratum"]], rows, {**look, "linestyle": "none"}
        )
    left.set(xlabel="PSF magnitude of the alert (mag)", ylabel=metric_title(metric), ylim=(None, 1.03))
    right.set(ylabel="Accuracy", ylim=(None, 1.03))
    right.set_xticks(range(len(names)), [name.replace("=", "\n", 1).removeprefix("set\n") for name in names])
    right.tick_params(axis="x", length=0)
    for axes in (left, right):
        finish(axes)
    entries = [handle(cell, **{"color": colours[cell], "marker": markers[cell], "linestyle": "-"}) for cell in cells]
    figure.legend(handles=entries, loc="outside upper center", ncols=1 if narrow else 2)
    return figure


def _marks(axes: Axes, x: Sequence[float], rows: pd.DataFrame, look: Mapping) -> None:
    """Estimates of one cell with their intervals."""
    axes.vlines(x, rows["low"], rows["high"], color=look["color"], linewidth=0.6)
    axes.plot(x, rows["estimate"], **look)


def magnitude_scores(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Scores of each label against magnitude, and what became of the alerts in each bin, for a few cells."""
    columns = ("cell", "stratum", "label", "score_low", "score", "score_high", "called_positive", "n_alerts")
    table = _with_magnitude(need(tables, "magnitude_scores", columns))
    if table.empty:
        raise Skip("table magnitude_scores.csv has no bin of magnitude")
    cells = leaders(tables, table["cell"], 3)
    with house_style():
        page, column = (_panels(table, cells[:count], narrow) for count, narrow in ((3, False), (2, True)))
        shown = table[table["cell"].isin(cells)]
        sizes = span(shown["n_seeds"], "seeds"), span(shown.groupby("cell")["n_alerts"].sum(), "test alerts")
        caption = (
            "Above: scores of the test alerts of each label against magnitude, median and middle two thirds over "
            "alerts and seeds (no error). Below: what the report's threshold makes of the alerts, mean over seeds. "
            f"Largest training fraction, cells chosen by validation ROC AUC; {', '.join(sizes)}."
        )
        yield Drawing("magnitude_scores", page, "Scores and confusion against magnitude", caption, column)


def _panels(table: pd.DataFrame, cells: Sequence[str], narrow: bool) -> Figure:
    """One column a cell, scores above counts."""
    figure = new_figure(COLUMN_WIDTH if narrow else PAGE_WIDTH, 3.6)
    grid = figure.subplots(2, len(cells), sharex=True, sharey="row", squeeze=False)
    for (upper, lower), cell in zip(grid.T, cells, strict=True):
        rows = table[table["cell"] == cell].sort_values("magnitude")
        for label, colour in colour_map((0, 1)).items():
            part = rows[rows["label"] == label]
            upper.plot(part["magnitude"], part["score"], color=colour, marker="o", markersize=2.2, linewidth=0.9)
            upper.fill_between(part["magnitude"], part["score_low"], part["score_high"], color=colour, alpha=0.2, lw=0)
        _confusion(lower, rows)
        upper.set_title(cell.replace("-", "\n", 1), fontsize=6.5)
        for axes in (upper, lower):
            finish(axes)
        lower.set_xlabel("PSF magnitude (mag)")
    grid[0, 0].set(ylabel="Score", ylim=(-0.03, 1.03))
    grid[1, 0].set_ylabel("Alerts per bin")
    entries = [handle(f"label {label}", color=colour, linestyle="-") for label, colour in colour_map((0, 1)).items()]
    shades = _outcome_colours()
    entries += [handle(name, color=shades[name], marker="s", markersize=5) for name in _OUTCOMES]
    figure.legend(handles=entries, loc="outside lower center", ncols=2 if narrow else 6)
    return figure


def _outcome_colours() -> dict[str, tuple]:
    """The colour of the label, pale where the network was wrong."""
    zero, one = (colour_map((0, 1))[label] for label in (0, 1))
    return dict(zip(_OUTCOMES, ((one, 1.0), (one, 0.35), (zero, 0.35), (zero, 1.0)), strict=True))


def _confusion(axes: Axes, rows: pd.DataFrame) -> None:
    """Stacked bars of the four outcomes, label 1 below."""
    width = (rows["mag_high"] - rows["mag_low"]).iloc[0]
    base = pd.Series(0.0, index=sorted(set(rows["magnitude"])))
    for label, names in ((1, _OUTCOMES[:2]), (0, _OUTCOMES[:1:-1])):
        part = rows[rows["label"] == label].set_index("magnitude")
        right = part["called_positive"] if label else 1 - part["called_positive"]
        for name, share in zip(names, (right, 1 - right), strict=True):
            heights = (part["n_alerts"] * share).reindex(base.index, fill_value=0.0)
            axes.bar(base.index, heights, 0.9 * width, bottom=base, color=_outcome_colours()[name])
            base += heights
