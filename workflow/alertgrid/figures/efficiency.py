"""How much data does a cell need? Metric against the number of training sources, and the data multiplier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from .style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    Drawing,
    colour_map,
    count_axis,
    finish,
    handle,
    house_style,
    line_map,
    marker_map,
    new_figure,
)
from .words import (
    choose_metrics,
    interval_words,
    is_control,
    metric_label,
    metric_title,
    need,
    sample_words,
    span,
    with_axes,
)


def efficiency(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One panel per architecture: colour for pre-training, line and mark for inputs and stamps."""
    table = need(tables, "efficiency", ("cell", "fraction", "n_train_sources", "metric", "estimate", "low", "high"))
    for metric in choose_metrics(table, metrics):
        rows = with_axes(table[(table["metric"] == metric) & ~table["cell"].map(is_control)])
        rows = rows[rows["n_train_sources"] > 0]
        if rows.empty:
            continue
        with house_style():
            yield Drawing(
                f"efficiency_{metric}",
                _panels(rows, metric, narrow=False),
                f"Data efficiency: {metric_label(metric)}",
                _caption(rows),
                _panels(rows, metric, narrow=True),
            )


def _panels(table: pd.DataFrame, metric: str, narrow: bool):
    """Small multiples with common axes and one legend; two side by side in one column, four on a page."""
    architectures = list(dict.fromkeys(table["architecture"]))
    kinds = table["inputs"] + np.where(table["stamps"].isin(["all", ""]), "", ", " + table["stamps"])
    table = table.assign(kind=kinds)
    columns = min(len(architectures), 2 if narrow else 4)
    rows = -(-len(architectures) // columns)
    width = PAGE_WIDTH if columns > 1 and not narrow else COLUMN_WIDTH
    figure = new_figure(width, 1.0 + 1.6 * rows if narrow else 0.6 + 1.9 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    looks = _looks(table)
    for axes, name in zip(grid.flat, architectures, strict=False):
        _curves(axes, table[table["architecture"] == name], looks)
        axes.set_title(name)
    for axes in grid.flat[len(architectures) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(len(architectures) - columns, 0) : len(architectures)]:
        axes.tick_params(labelbottom=True)
    count_axis(grid[0, 0].xaxis, table["n_train_sources"])
    figure.supxlabel("Training sources", fontsize=7.5)
    figure.supylabel(metric_title(metric), fontsize=7.5)
    _legend(figure, looks, 2 if narrow else 4)
    return figure


def _looks(table: pd.DataFrame) -> dict[str, dict]:
    """Colour per pre-training; dash and mark per kind of input."""
    kinds = list(dict.fromkeys(table["kind"]))
    return {
        "colour": colour_map(dict.fromkeys(table["pretraining"])),
        "line": line_map(kinds),
        "marker": marker_map(kinds),
    }


def _curves(axes, table: pd.DataFrame, looks: Mapping[str, Mapping]) -> None:
    """Curves of one architecture, drawn slightly apart so that intervals do not hide each other."""
    cells = list(dict.fromkeys(table["cell"]))
    for i, cell in enumerate(cells):
        rows = table[table["cell"] == cell].sort_values("n_train_sources")
        colour, kind = looks["colour"][rows["pretraining"].iloc[0]], rows["kind"].iloc[0]
        # On a log axis a factor is a shift; 2 % per cell is less than the width of a mark.
        x = rows["n_train_sources"] * 1.02 ** (i - (len(cells) - 1) / 2)
        axes.plot(
            x, rows["estimate"], color=colour, linestyle=looks["line"][kind], marker=looks["marker"][kind], markersize=3
        )
        axes.vlines(x, rows["low"], rows["high"], color=colour, linewidth=0.8)
    finish(axes)


def _legend(figure, looks: Mapping[str, Mapping], columns: int) -> None:
    """Pre-trainings by colour, inputs by line and mark."""
    entries = [handle(f"pre-training: {name}", color=colour, linestyle="-") for name, colour in looks["colour"].items()]
    entries += [
        handle(kind, color="0.3", linestyle=line, marker=looks["marker"][kind]) for kind, line in looks["line"].items()
    ]
    figure.legend(handles=entries, loc="outside upper center", ncols=min(len(entries), columns), handlelength=2.6)


def _caption(table: pd.DataFrame) -> str:
    """What the lines are, and n."""
    return (
        "Test performance against the number of training sources (log axis) with "
        f"{interval_words(table)}: {sample_words(table)}; "
        f"{span(table['n_train_sources'], 'training sources')}. The test set is the same for all fractions."
    )


def multiplier(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """How many times fewer sources a pre-trained network needs to match the untrained one at its full sample."""
    table = need(tables, "multiplier", ("cell", "reference", "metric", "multiplier", "low", "high", "status"))
    metric = choose_metrics(table, metrics)[0]
    rows = table[table["metric"] == metric].reset_index(drop=True)
    with house_style():
        figure = new_figure(COLUMN_WIDTH, 0.7 + 0.26 * len(rows))
        axes = figure.subplots()
        limits = _factors(axes, rows)
        for y, row in rows.iterrows():
            _multiplier_row(axes, y, row, limits)
        axes.axvline(1, color="black", linewidth=0.7)
        axes.set_yticks(range(len(rows)), rows["cell"])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("Times fewer training sources needed", loc="right")
        finish(axes, grid="x")
        caption = (
            f"Data multiplier in {metric_label(metric)}: how many times fewer training sources a pre-trained network "
            "needs to match the same network from random weights at its full sample, with "
            f"{interval_words(rows)}: {sample_words(rows)}. Above 1, pre-training saves data."
        )
        if ((rows["low"] == 0) | np.isinf(rows["high"])).any():
            caption += (
                " An arrow to the left: the interval includes that no fraction measured matches the reference; to the "
                "right: that less than the smallest fraction does."
            )
        if rows["low"].isna().any():
            caption += " Rows without a line have no interval; the table says why."
        yield Drawing("multiplier", figure, "Data multiplier", caption)


def _factors(axes, table: pd.DataFrame) -> tuple[float, float]:
    """Logarithmic axis of factors that never shows less than from 1/2 to 4, so that small ones look small; its ends."""
    shown = table[["multiplier", "low", "high"]].to_numpy(float)
    shown = shown[np.isfinite(shown) & (shown > 0)]
    limits = min([0.5, *shown / 1.3]), max([4.0, *shown * 1.3])
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    return limits


def _multiplier_row(axes, y: float, row: pd.Series, limits: tuple[float, float]) -> None:
    """One multiplier with its interval, arrows where it has no end; in words what is no value between fractions."""
    low, high = row["low"], row["high"]
    if np.isfinite(low) and not np.isnan(high):
        ends = max(low, limits[0]), min(high, limits[1])
        axes.plot(ends, [y, y], color="black", linewidth=1)
        for end, is_open, mark in zip(ends, (low == 0, np.isinf(high)), "<>", strict=True):
            if is_open:
                axes.plot([end], [y], marker=mark, color="black", markersize=4, clip_on=False)
    known = np.isfinite(row["multiplier"])
    if known and row["status"] == "reached":
        axes.plot([row["multiplier"]], [y], marker="o", color="black", linestyle="none")
        return
    said = f"{row['status']} {row['multiplier']:.1f}" if known else str(row["status"])
    axes.annotate(
        said, (1, y), (4, 2), textcoords="offset points", va="bottom", fontsize=6.5, color="0.35", in_layout=False
    )
