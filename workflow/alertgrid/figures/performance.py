"""How well does each cell do, and what does a choice buy? Forest plots of estimates and of paired differences."""

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
    metric_label,
    metric_title,
    need,
    ranked_cells,
    sample_words,
)

ROW = 0.2  # inch per cell
KINDS = {
    "baseline": "Against the baseline",
    "size": "What another input size buys",
    "pretraining": "What pre-training buys",
    "stamps": "What each stamp buys",
    "inputs": "What the metadata buy",
    "external": "Against external entrants",
    "after": "After minus before",
    "unpaired": "After minus before",
}
_SAMPLES = {
    "unpaired": "Differences between two samples of test sources",
    "after": "Paired differences, after minus before, on the same test sources",
}


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
                axes.set_yticks(range(len(group)), [_two_lines(cell) for cell in group], fontsize=6)
    for axes, metric in zip(grid[-1], shown, strict=True):
        axes.set_xlabel(metric_title(metric))
    _legend(figure, fractions, external=external, columns=3 if narrow else None)
    return figure


def _two_lines(cell: str) -> str:
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
            offset = _offset(fractions, row["fraction"])
        if is_control(row["cell"]):
            look["markerfacecolor"] = "white"
        _mark(axes, row["estimate"], places[row["cell"]] + offset, row["low"], row["high"], **look)
    _rows(axes, cells)
    if any(is_control(cell) for cell in cells):
        axes.margins(x=0.15)


def _offset(values: Sequence, value) -> float:
    """Vertical shift of one of several marks that share a row; the largest value on top."""
    return 0.0 if len(values) < 2 else 0.26 - 0.52 * list(values).index(value) / (len(values) - 1)


def _mark(axes: Axes, x: float, y: float, low: float, high: float, **look) -> None:
    """One estimate with its interval; an unknown interval is left out."""
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [y, y], color=look["color"], linewidth=1, solid_capstyle="butt", zorder=2)
    axes.plot([x], [y], linestyle="none", markersize=3.4, markeredgewidth=0.7, zorder=3, **look)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows, first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    finish(axes, grid="x")
    axes.locator_params(axis="x", nbins=6)


def _legend(
    figure: Figure,
    fractions: Sequence[float],
    *,
    external: bool = False,
    tested: bool = False,
    columns: int | None = None,
) -> None:
    """Explain the marks below the panels."""
    shades, markers = shade_map(fractions), marker_map(fractions)
    entries = [
        handle(fraction_label(value), color=shades[value], marker=markers[value]) for value in reversed(list(fractions))
    ]
    if external:
        entries.append(handle("external entrant", color="black", marker="D"))
    if tested:
        entries.append(handle("p < 0.05 (Holm)", color="0.3", marker="o"))
        entries.append(handle("p ≥ 0.05", color="0.3", marker="o", markerfacecolor="white"))
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


def differences(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One forest plot per kind of paired difference, at each fraction."""
    columns = ("kind", "cell", "reference", "fraction", "metric", "difference", "low", "high", "p_holm", "detectable")
    table = need(tables, "differences", columns)
    shown = choose_metrics(table, metrics)
    table = table[table["metric"].isin(shown)]
    for kind in dict.fromkeys(table["kind"]):
        rows = table[table["kind"] == kind]
        with house_style():
            yield Drawing(
                f"differences_{kind}", _difference_figure(rows, shown), KINDS.get(kind, kind), _difference_caption(rows)
            )


def _difference_figure(table: pd.DataFrame, shown: Sequence[str]):
    """Rows are pairs of cells, panels are metrics."""
    references = table["reference"].nunique()
    label = table["cell"] if references == 1 else table["cell"] + "\nminus " + table["reference"]
    table = table.assign(label=label)
    first = table[(table["metric"] == shown[0]) & (table["fraction"] == table["fraction"].max())]
    names = list(dict.fromkeys([*first.sort_values("difference", ascending=False)["label"], *table["label"]]))
    fractions = sorted(table["fraction"].unique())
    height = ROW if references == 1 else 1.7 * ROW
    figure = new_figure(PAGE_WIDTH, 1.0 + height * (len(names) + 1))
    grid = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for axes, metric in zip(grid, shown, strict=True):
        _differences(axes, table[table["metric"] == metric], names, fractions)
        suffix = f" from\n{table['reference'].iloc[0]}" if references == 1 else ""
        axes.set_xlabel(f"Difference in {metric_label(metric)}{suffix}")
    _legend(figure, fractions, tested=True)
    return figure


def _differences(axes: Axes, table: pd.DataFrame, names: Sequence[str], fractions: Sequence[float]) -> None:
    """Differences with intervals; filled where the Holm-corrected p is below 0.05; grey: too small to detect."""
    shades, markers = shade_map(fractions), marker_map(fractions)
    axes.axvline(0, color="black", linewidth=0.7)
    for _, row in table.iterrows():
        y = names.index(row["label"]) + _offset(fractions, row["fraction"])
        if np.isfinite(row["detectable"]):
            axes.barh(y, 2 * row["detectable"], 0.5 / len(fractions), -row["detectable"], color="0.92", zorder=0)
        colour = shades[row["fraction"]]
        face = colour if row["p_holm"] < 0.05 else "white"
        look = {"color": colour, "marker": markers[row["fraction"]], "markerfacecolor": face}
        _mark(axes, row["difference"], y, row["low"], row["high"], **look)
    _rows(axes, names)


def _difference_caption(table: pd.DataFrame) -> str:
    """What a filled mark and a grey bar mean, and n."""
    found = int((table["p_holm"] < 0.05).sum())
    kind = table["kind"].iloc[0]
    better = "the figure was greater afterwards" if kind in _SAMPLES else "the cell named first is better"
    return (
        f"{_SAMPLES.get(kind, 'Paired differences on the same test sources')} with {interval_words(table)}: "
        f"{sample_words(table)}. Right of zero, {better}. Filled marks: p < 0.05 after Holm's correction "
        f"({found} of {len(table)}). Grey bars: differences too small for this test set to detect."
    )
