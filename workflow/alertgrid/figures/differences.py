"""What does a choice buy? Forest plots of paired differences, one per kind of comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import LOWER_IS_BETTER
from .performance import ROW, legend, mark, name_rows, offset_of
from .style import COLUMN_WIDTH, MAX_HEIGHT, PAGE_WIDTH, Drawing, house_style, marker_map, new_figure, shade_map
from .words import choose_metrics, interval_words, metric_label, need, parse_cell, sample_words

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


def differences(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One forest plot per kind of paired difference, at each fraction."""
    columns = ("kind", "cell", "reference", "fraction", "metric", "difference", "low", "high", "level", "p_holm")
    table = need(tables, "differences", (*columns, "detectable_holm", "n_seeds"))
    shown = choose_metrics(table, metrics)
    table = table[table["metric"].isin(shown)]
    for kind in dict.fromkeys(table["kind"]):
        rows = table[table["kind"] == kind]
        with house_style():
            page, column = (_figure(rows, shown, narrow) for narrow in (False, True))
            yield Drawing(f"differences_{kind}", page, KINDS.get(kind, kind), _caption(rows), column)


def _figure(table: pd.DataFrame, shown: Sequence[str], narrow: bool) -> Figure | None:
    """Rows are pairs of cells, panels are metrics; None where one column has no room for them."""
    references = table["reference"].nunique()
    label = _short if narrow else _long
    table = table.assign(
        label=[label(*pair, references) for pair in zip(table["cell"], table["reference"], strict=True)]
    )
    names = _ordered(table, shown[0])
    fractions = sorted(table["fraction"].unique())
    height = (ROW if references == 1 and not narrow else 1.7 * ROW) * (len(names) + 1)
    whole = 1.3 + (height + 0.35) * len(shown) if narrow else 1.0 + height
    if narrow and whole > MAX_HEIGHT:
        return None
    figure = new_figure(COLUMN_WIDTH if narrow else PAGE_WIDTH, whole)
    shape = (len(shown), 1) if narrow else (1, len(shown))
    grid = figure.subplots(*shape, squeeze=False, sharey=True).flat
    for axes, metric in zip(grid, shown, strict=True):
        _panel(axes, table[table["metric"] == metric], names, fractions)
        suffix = f" from\n{table['reference'].iloc[0]}" if references == 1 else ""
        axes.set_xlabel(f"Difference in {metric_label(metric)}{suffix}")
        if narrow:
            axes.set_yticks(range(len(names)), names, fontsize=6)
    legend(figure, fractions, alpha=_alpha(table), columns=3 if narrow else None)
    return figure


def _long(cell: str, reference: str, references: int) -> str:
    """Name of a row: the cell, and what is subtracted where that differs between rows."""
    return cell if references == 1 else f"{cell}\nminus {reference}"


def _short(cell: str, reference: str, references: int) -> str:
    """The same in two lines of little width: what both cells have in common, and below what differs."""
    axes, other = parse_cell(cell), parse_cell(reference)
    if references == 1 or axes["architecture"] != other["architecture"]:
        return _long(cell, reference, references).replace("-", "\n", int(references == 1))
    common = [value for axis, value in axes.items() if value == other[axis] and value not in ("all", "given")]
    own = [(value, other[axis]) for axis, value in axes.items() if value != other[axis]]
    sides = (", ".join(values) for values in zip(*own, strict=True))
    return f"{'-'.join(common)}\n{' minus '.join(sides)}"


def _ordered(table: pd.DataFrame, metric: str) -> list[str]:
    """Labels of the rows by the difference in a metric at the largest fraction, the greatest first."""
    first = table[(table["metric"] == metric) & (table["fraction"] == table["fraction"].max())]
    return list(dict.fromkeys([*first.sort_values("difference", ascending=False)["label"], *table["label"]]))


def _alpha(table: pd.DataFrame) -> float:
    """Below which p a difference is told from zero."""
    return round(1 - float(table["level"].iloc[0]), 9)


def _panel(axes: Axes, table: pd.DataFrame, names: Sequence[str], fractions: Sequence[float]) -> None:
    """Differences with intervals; filled where Holm's p is small enough; grey: too small to detect among so many."""
    shades, markers = shade_map(fractions), marker_map(fractions)
    axes.axvline(0, color="black", linewidth=0.7)
    for _, row in table.iterrows():
        y = names.index(row["label"]) + offset_of(fractions, row["fraction"])
        if np.isfinite(row["detectable_holm"]):
            reach = row["detectable_holm"]
            axes.barh(y, 2 * reach, 0.5 / len(fractions), -reach, color="0.92", zorder=0)
        colour = shades[row["fraction"]]
        face = colour if row["p_holm"] < _alpha(table) else "white"
        look = {"color": colour, "marker": markers[row["fraction"]], "markerfacecolor": face}
        mark(axes, row["difference"], y, row["low"], row["high"], **look)
    # Not as far as every bar: with two seeds among many rows, no difference that there can be is detectable.
    ends = np.abs(table[["difference", "low", "high"]].to_numpy(float))
    reach = 1.3 * max(ends[np.isfinite(ends)], default=0.0) or 1.0
    axes.set_xlim(-reach, reach)
    name_rows(axes, names)


def _caption(table: pd.DataFrame) -> str:
    """What a filled mark and a grey bar mean, and n."""
    alpha, kind = _alpha(table), table["kind"].iloc[0]
    found, tested = int((table["p_holm"] < alpha).sum()), int(table["p_holm"].count())
    greater = "the figure was greater afterwards" if kind in _SAMPLES else "the cell named first has the greater figure"
    worse = [metric_label(metric) for metric in dict.fromkeys(table["metric"]) if metric in LOWER_IS_BETTER]
    better = "which is better" + (f" (worse for {', '.join(worse)})" if worse else "")
    return (
        f"{_SAMPLES.get(kind, 'Paired differences on the same test sources')} with {interval_words(table)}: "
        f"{sample_words(table)}. Right of zero, {greater}, {better}. Filled marks: p < {alpha:g} after Holm's "
        f"correction ({found} of {tested}); an interval is that of its own difference alone. Grey bars: true "
        "differences too small for this test set to detect at the strictest step of that correction; they may "
        "go on beyond the axis."
        + (" With one seed, whose spread is not measured, no mark is filled." if (table["n_seeds"] < 2).any() else "")
    )
