"""How well does each cell do? Forest plots of estimates, and what the forest plots of differences share with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLUMN_WIDTH, PAGE_WIDTH, Drawing, finish, handle, house_style, marker_map, new_figure, shade_map
from .words import (
    choose_metrics,
    fraction_label,
    interval_words,
    is_control,
    metric_title,
    need,
    ranked_cells,
    sample_words,
)

ROW = 0.2  # inch per cell


def performance(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Forest plot: one row a cell, one mark a training fraction; external entrants and controls marked."""
    table = need(tables, "performance", ("cell", "architecture", "fraction", "metric", "estimate", "low", "high"))
    shown = choose_metrics(table, metrics)
    table = table[table["metric"].isin(shown)]
    cells = ranked_cells(table, shown[0])
    groups = [[cell for cell in cells if is_control(cell) == control] for control in (False, True)]
    groups = [group for group in groups if group]
    fractions = sorted(table.loc[table["architecture"] != "external", "fraction"].dropna().unique())
    caption = _performance_caption(table, len(groups) > 1)
    with house_style():
        page, column = (_forests(table, shown, groups, fractions, narrow) for narrow in (False, True))
        yield Drawing("performance", page, "Performance of every cell", caption, column)


def _forests(
    table: pd.DataFrame, shown: Sequence[str], groups: Sequence[Sequence[str]], fractions: Sequence[float], narrow: bool
) -> Figure:
    """Metrics side by side, or for one column below each other; controls below the other cells."""
    rows = sum(len(group) for group in groups) + 1.5 * len(groups)
    heights = [len(group) + 0.6 for group in groups]
    external = bool((table["architecture"] == "external").any())
    if narrow:
        figure = new_figure(COLUMN_WIDTH, 0.8 + len(shown) * (0.2 + 1.25 * ROW * rows))
        grid = figure.subplots(len(groups) * len(shown), 1, height_ratios=heights * len(shown), squeeze=False)
        grid = grid.reshape(len(shown), len(groups)).T
    else:
        figure = new_figure(PAGE_WIDTH, 0.75 + ROW * rows)
        grid = figure.subplots(len(groups), len(shown), squeeze=False, sharey="row", height_ratios=heights)
    for row, group in zip(grid, groups, strict=True):
        for axes, metric in zip(row, shown, strict=True):
            _forest(axes, table[table["metric"] == metric], group, fractions)
            if metric == "roc_auc" and is_control(group[0]):
                axes.axvline(0.5, color="0.6", linewidth=0.8, zorder=0)
            if narrow:
                axes.set_yticks(range(len(group)), [two_lines(cell) for cell in group], fontsize=6)
    for axes, metric in zip(grid[-1], shown, strict=True):
        axes.set_xlabel(metric_title(metric))
    legend(figure, fractions, external=external, columns=3 if narrow else None)
    return figure


def two_lines(cell: str) -> str:
    """Name of a cell with its architecture on a line of its own."""
    architecture, _, rest = cell.partition("-")
    return f"{architecture}\n{rest}" if rest else cell


def _forest(axes: Axes, table: pd.DataFrame, cells: Sequence[str], fractions: Sequence[float]) -> None:
    """Marks and intervals of some cells, best on top, fractions side by side within a row."""
    shades, markers = shade_map(fractions), marker_map(fractions)
    places = {cell: i for i, cell in enumerate(cells)}
    for _, row in table[table["cell"].isin(cells)].iterrows():
        external = row["architecture"] == "external"
        look = {"color": "black", "marker": "D"} if external else {}
        offset = 0.0
        if not external:
            look = {"color": shades[row["fraction"]], "marker": markers[row["fraction"]]}
            offset = offset_of(fractions, row["fraction"])
        if is_control(row["cell"]):
            look["markerfacecolor"] = "white"
        mark(axes, row["estimate"], places[row["cell"]] + offset, row["low"], row["high"], **look)
    name_rows(axes, cells)
    if any(is_control(cell) for cell in cells):
        axes.margins(x=0.15)


def offset_of(values: Sequence, value) -> float:
    """Vertical shift of one of several marks that share a row; the largest value on top."""
    return 0.0 if len(values) < 2 else 0.26 - 0.52 * list(values).index(value) / (len(values) - 1)


def mark(axes: Axes, x: float, y: float, low: float, high: float, **look) -> None:
    """One estimate with its interval; an unknown interval is left out."""
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [y, y], color=look["color"], linewidth=1, solid_capstyle="butt", zorder=2)
    axes.plot([x], [y], linestyle="none", markersize=3.4, markeredgewidth=0.7, zorder=3, **look)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows, first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    finish(axes, grid="x")
    axes.locator_params(axis="x", nbins=6)


def legend(
    figure: Figure,
    fractions: Sequence[float],
    *,
    external: bool = False,
    alpha: float | None = None,
    columns: int | None = None,
) -> None:
    """Explain the marks below the panels."""
    shades, markers = shade_map(fractions), marker_map(fractions)
    entries = [
        handle(fraction_label(value), color=shades[value], marker=markers[value]) for value in reversed(list(fractions))
    ]
    if external:
        entries.append(handle("external entrant", color="black", marker="D"))
    if alpha is not None:
        entries.append(handle(f"p < {alpha:g} (Holm)", color="0.3", marker="o"))
        entries.append(handle(f"p ≥ {alpha:g}", color="0.3", marker="o", markerfacecolor="white"))
        entries.append(handle("too small to detect", color="0.92", linestyle="-", linewidth=4))
    title = "Share of the training sources"
    columns = min(columns or len(entries), max(len(entries), 1))
    figure.legend(handles=entries, title=title, title_fontsize=6.5, loc="outside lower center", ncols=max(columns, 1))


def _performance_caption(table: pd.DataFrame, controls: bool) -> str:
    """What the marks are, n, level and method."""
    text = f"Test performance of each cell, best on top, with {interval_words(table)}: {sample_words(table)}."
    if (table["architecture"] == "external").any():
        text += " Diamonds are classifiers that were not trained here (external entrants), on the same rows."
    if controls:
        text += (
            " Open marks in the lower panels are controls trained on permuted labels; chance is 0.5 for the ROC AUC."
        )
    return text
