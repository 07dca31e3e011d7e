"""Which sources are saved, and when? Completeness, purity and delay of each policy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import (
    COLUMN_WIDTH,
    MAX_HEIGHT,
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
from .words import LEADERS, interval_words, is_control, largest, leaders, metric_title, need, sample_words, span

_COLUMNS = ("cell", "fraction", "policy", "stratum", "metric", "estimate", "low", "high")
_SHARES = ("completeness", "purity")
_DELAYS = ("delay_days", "delay_from_peak_days")
MAX_CELLS = 5  # lines a panel can carry


def policy_overall(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Completeness, purity and delays over all magnitudes: one row a cell, one mark a policy."""
    table = need(tables, "policies", _COLUMNS)
    table = largest(table[(table["stratum"] == "all") & ~table["cell"].map(is_control)])
    if table.empty:
        raise Skip("table policies.csv has no row for stratum 'all'")
    _refuse_undefined(table)
    cells = leaders(tables, table["cell"], table["cell"].nunique())
    policies = list(dict.fromkeys(table["policy"]))
    shown = [metric for metric in (*_SHARES, *_DELAYS) if metric in set(table["metric"])]
    chosen = [(metric, table[table["metric"] == metric]) for metric in shown]
    with house_style():
        page, column = (_overall_panels(chosen, cells, policies, narrow) for narrow in (False, True))
        caption = _overall_caption(table[table["estimate"].notna()])
        yield Drawing("policy_overall", page, "Policies over all magnitudes", caption, column)


def _refuse_undefined(table: pd.DataFrame) -> None:
    """Skip a figure that would be empty."""
    if not table.loc[table["metric"] == "completeness", "estimate"].notna().any():
        raise Skip("no source of label 1 has as many alerts as a policy asks for, so completeness is not defined")


def _overall_panels(
    chosen: Sequence[tuple[str, pd.DataFrame]], cells: Sequence[str], policies: Sequence[str], narrow: bool
) -> Figure | None:
    """A panel a metric, two a row in one column; None where that has no room for the cells."""
    columns = 2 if narrow else len(chosen)
    rows, height = -(-len(chosen) // columns), 0.8 + 0.3 * (len(cells) + 1)
    if narrow and rows * height > MAX_HEIGHT:
        return None
    figure = new_figure(COLUMN_WIDTH if narrow else PAGE_WIDTH, rows * height)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(chosen) :]:
        axes.set_visible(False)
    for axes, (metric, table) in zip(grid.flat, chosen, strict=False):
        _dots(axes, table, cells, policies)
        axes.set_xlabel(metric_title(metric).replace(" (", "\n("))
        if narrow:
            axes.set_yticks(range(len(cells)), [cell.replace("-", "\n", 1) for cell in cells])
    _legend(figure, policies, 2 if narrow else len(policies))
    return figure


def _dots(axes, table: pd.DataFrame, cells: Sequence[str], policies: Sequence[str]) -> None:
    """Marks of one metric, policies side by side within a row."""
    colours, markers = colour_map(policies), marker_map(policies)
    for _, row in table.iterrows():
        shift = 0.6 * (policies.index(row["policy"]) / max(len(policies) - 1, 1) - 0.5)
        y, colour = cells.index(row["cell"]) + shift, colours[row["policy"]]
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=0.9)
        filled = colour if np.isfinite(row["low"]) else "white"
        look = {"marker": markers[row["policy"]], "markersize": 2.8, "markerfacecolor": filled}
        axes.plot([row["estimate"]], [y], color=colour, **look)
    axes.set_yticks(range(len(cells)), cells)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    finish(axes, grid="x")


def _legend(figure: Figure, policies: Sequence[str], columns: int) -> None:
    """Policies by colour and mark."""
    colours, markers = colour_map(policies), marker_map(policies)
    entries = [handle(name, color=colours[name], marker=markers[name]) for name in policies]
    figure.legend(handles=entries, loc="outside lower center", ncols=columns)


def _overall_caption(table: pd.DataFrame) -> str:
    """What the delays are measured from, and n."""
    waited = table["metric"].isin(_DELAYS)
    text = "Source-level results of each policy at the largest training fraction, with "
    text += f"{interval_words(table[~waited])}: {sample_words(table[~waited])}."
    if waited.any():
        text += f" Delays are medians of the saved sources, {span(table.loc[waited, 'n_sources'], 'sources')} in the "
        text += f"seed that saved the fewest, with {interval_words(table[waited])}."
    if table["low"].isna().any():
        text += " Hollow marks have no interval; the table says why."
    return text


def policy_magnitude(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Completeness and purity against the brightest magnitude: one column a policy, one line a cell."""
    table = need(tables, "policies", _COLUMNS)
    edges = table["stratum"].map(magnitude_bin)
    table = largest(table[edges.notna() & table["metric"].isin(_SHARES)])
    if table.empty:
        raise Skip("table policies.csv has no magnitude bins")
    _refuse_undefined(table)
    table = table.assign(magnitude=[np.mean(edges[i]) for i in table.index])
    cells = leaders(tables, table["cell"], MAX_CELLS)
    policies = list(dict.fromkeys(table["policy"]))
    with house_style():
        page, column = (_magnitude_panels(table, cells, policies, narrow) for narrow in (False, True))
        yield Drawing("policy_magnitude", page, "Policies by magnitude", _magnitude_caption(table, cells), column)


def _magnitude_panels(table: pd.DataFrame, cells: Sequence[str], policies: Sequence[str], narrow: bool) -> Figure:
    """Metrics below each other and policies side by side; in one column the other way round."""
    figure = new_figure(COLUMN_WIDTH, 1.2 + 1.4 * len(policies)) if narrow else new_figure(PAGE_WIDTH, 4.0)
    shape = (len(policies), len(_SHARES)) if narrow else (len(_SHARES), len(policies))
    grid = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    by_metric = grid.T if narrow else grid
    for i, metric in enumerate(_SHARES):
        for j, policy in enumerate(policies):
            axes = by_metric[i, j]
            _lines(axes, table[(table["metric"] == metric) & (table["policy"] == policy)], cells)
            if narrow or j == 0:
                axes.set_ylabel(metric_title(metric))
            if narrow or i == 0:
                axes.set_title(policy)
    grid[0, 0].set_ylim(top=1.03)
    figure.supxlabel("Brightest magnitude of the source (mag)", fontsize=7.5)
    colours, markers = colour_map(cells), marker_map(cells)
    entries = [handle(cell, color=colours[cell], marker=markers[cell], linestyle="-") for cell in cells]
    figure.legend(handles=entries, loc="outside upper center", ncols=1 if narrow else 2)
    return figure


def magnitude_bin(stratum: str) -> tuple[float, float] | None:
    """Edges of a stratum such as "mag=17.00-17.25"; None for other strata."""
    match = re.fullmatch(r"mag=([\d.]+)-([\d.]+)", str(stratum))
    return (float(match[1]), float(match[2])) if match else None


def _lines(axes, table: pd.DataFrame, cells: Sequence[str]) -> None:
    """Lines of one panel, drawn slightly apart."""
    colours, markers = colour_map(cells), marker_map(cells)
    for i, cell in enumerate(cells):
        rows = table[table["cell"] == cell].sort_values("magnitude")
        x = rows["magnitude"] + 0.016 * (i - (len(cells) - 1) / 2)
        axes.plot(x, rows["estimate"], color=colours[cell], marker=markers[cell], markersize=2.6, linewidth=0.9)
        axes.vlines(x, rows["low"], rows["high"], color=colours[cell], linewidth=0.7)
    finish(axes)


def _magnitude_caption(table: pd.DataFrame, cells: Sequence[str]) -> str:
    """Which cells are shown, and n per bin."""
    total = table["cell"].nunique()
    chosen = f"{LEADERS} ({len(cells)} of {total} cells)"
    return (
        f"Completeness and purity in bins of the brightest magnitude for {chosen}, at the largest training fraction, "
        f"with {interval_words(table)}: {sample_words(table)} in a bin. The table has every cell."
    )
