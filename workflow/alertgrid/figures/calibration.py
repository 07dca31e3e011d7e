"""Do the scores mean what they say? Reliability curves and the distribution of scores by label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import (
    COLUMN_WIDTH,
    MAX_HEIGHT,
    PAGE_WIDTH,
    Drawing,
    colour_map,
    finish,
    handle,
    house_style,
    marker_map,
    new_figure,
)
from .words import LEADERS, largest, leaders, need, span

_COLUMNS = ("cell", "fraction", "bin_low", "bin_high", "mean_score", "fraction_positive", "n_alerts")
MAX_CELLS = 6
MAX_PANELS = 24
_LABELS = {0: "label 0", 1: "label 1"}


def reliability(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Fraction of label 1 against the mean score of a bin, with the alerts per bin below."""
    table = need(tables, "calibration", _COLUMNS)
    table = largest(table[table["n_alerts"] > 0])
    cells = leaders(tables, table["cell"], MAX_CELLS)
    colours, markers = colour_map(cells), marker_map(cells)
    with house_style():
        figure = new_figure(COLUMN_WIDTH, 4.0 + 0.14 * len(cells))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for cell in cells:
            rows = table[table["cell"] == cell].sort_values("bin_low")
            upper.plot(
                rows["mean_score"], rows["fraction_positive"], color=colours[cell], marker=markers[cell], markersize=3
            )
            edges = [*rows["bin_low"], rows["bin_high"].iloc[-1]]
            lower.stairs(rows["n_alerts"], edges, color=colours[cell], baseline=None)
        upper.set(ylabel="Fraction of label 1", ylim=(-0.03, 1.03))
        lower.set(ylabel="Alerts per bin", xlabel="Score", xlim=(-0.02, 1.02), yscale="log")
        for axes in (upper, lower):
            finish(axes)
        entries = [handle(cell, color=colours[cell], marker=markers[cell], linestyle="-") for cell in cells]
        figure.legend(handles=entries, loc="outside lower center")
        yield Drawing("calibration", figure, "Calibration", _caption(table, cells))


def _caption(table: pd.DataFrame, cells: Sequence[str]) -> str:
    """Which cells, how many alerts."""
    return (
        f"Reliability of the scores for {LEADERS} ({len(cells)} of {table['cell'].nunique()} cells), at the "
        f"largest training fraction: {_scores(table)}. On the grey line a score is a probability; the table of "
        "further metrics has the calibration error beside that of chance."
    )


def _scores(table: pd.DataFrame) -> str:
    """How many scores each cell has."""
    return f"{span(table.groupby('cell')['n_alerts'].sum(), 'scores')} per cell, all seeds together"


def score_distributions(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Share of the alerts of each label per score bin: one panel a cell."""
    table = largest(need(tables, "calibration", _COLUMNS))
    cells = leaders(tables, table["cell"], MAX_PANELS)
    with house_style():
        page, column = (_score_panels(table, cells, narrow) for narrow in (False, True))
        shown = f"{len(cells)} of {table['cell'].nunique()} cells"
        caption = (
            f"Scores of test alerts by label ({shown}), at the largest training fraction: "
            f"{_scores(table[table['cell'].isin(cells)])}. Log axis."
        )
        yield Drawing("score_distributions", page, "Score distributions", caption, column)


def _score_panels(table: pd.DataFrame, cells: Sequence[str], narrow: bool) -> Figure | None:
    """A panel a cell, four a row on a page and two in one column; None where that has no room for them."""
    columns = min(2 if narrow else 4, len(cells))
    rows = -(-len(cells) // columns)
    height = 0.7 + 1.25 * rows
    if narrow and height > MAX_HEIGHT:
        return None
    figure = new_figure(COLUMN_WIDTH if narrow else PAGE_WIDTH, height)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, cell in zip(grid.flat, cells, strict=False):
        _histograms(axes, table[table["cell"] == cell].sort_values("bin_low"))
        axes.set_title(cell.replace("-", "\n", 1), fontsize=6.5)
    for axes in grid.flat[len(cells) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(len(cells) - columns, 0) : len(cells)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("Score", fontsize=7.5)
    figure.supylabel("Share of the alerts of a label", fontsize=7.5)
    colours = colour_map(_LABELS)
    entries = [handle(name, color=colours[label], linestyle="-") for label, name in _LABELS.items()]
    figure.legend(handles=entries, loc="outside upper center", ncols=2)
    return figure


def _histograms(axes, rows: pd.DataFrame) -> None:
    """Two step histograms, each of unit sum."""
    edges = np.array([*rows["bin_low"], rows["bin_high"].iloc[-1]])
    positives = (rows["n_alerts"] * rows["fraction_positive"].fillna(0)).to_numpy()
    colours = colour_map(_LABELS)
    for label, counts in ((0, rows["n_alerts"].to_numpy() - positives), (1, positives)):
        if counts.sum() > 0:
            axes.stairs(counts / counts.sum(), edges, color=colours[label], linewidth=1)
    axes.set_yscale("log")
    axes.set_ylim(5e-4, 1.5)
    axes.set_xlim(-0.02, 1.02)
    finish(axes)
