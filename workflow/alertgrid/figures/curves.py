"""How did each training go? Loss and validation AUC against the epoch: one figure a cell, one line a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import COLUMN_WIDTH, PAGE_WIDTH, Drawing, finish, handle, house_style, new_figure, shade_map
from .words import fraction_label, need, span

_COLUMNS = ("cell", "fraction", "seed", "epoch", "train_loss", "val_loss", "val_auc", "best")
_DASHED = (0, (3, 1.5))


def curves(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One figure per cell."""
    table = need(tables, "history", _COLUMNS)
    for cell, rows in table.groupby("cell", sort=False):
        with house_style():
            page, column = (_panels(rows, narrow) for narrow in (False, True))
            yield Drawing(f"curves_{cell}", page, f"Training of {cell}", _caption(rows), column)


def _panels(table: pd.DataFrame, narrow: bool) -> Figure:
    """One colour a share of the training sources."""
    shades = shade_map(sorted(table["fraction"].unique()))
    runs = [(shades[fraction], run) for (fraction, _), run in table.groupby(["fraction", "seed"])]
    legend = {fraction_label(value): colour for value, colour in shades.items()}
    return epoch_panels(runs, legend, "Training sources", score="val_auc", says="Validation ROC AUC", narrow=narrow)


def epoch_panels(
    runs: Iterable[tuple[str, pd.DataFrame]],
    legend: Mapping[str, str],
    title: str,
    *,
    score: str,
    says: str,
    held_out: str = "validation",
    narrow: bool = False,
) -> Figure:
    """Loss on the left (dashed: training, full: held out), a score on the right, by epoch; in one column below it.

    Parameters
    ----------
    runs : iterable of (colour, history)
        History with epoch, train_loss, val_loss, best and the column `score`.
    legend, title
        Label -> colour, and what the colours stand for.
    says, held_out : str
        What the score and the held-out part are called.
    """
    figure = new_figure(COLUMN_WIDTH, 4.4) if narrow else new_figure(PAGE_WIDTH, 2.2)
    left, right = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    for colour, run in runs:
        kept = run[run["best"] == 1].tail(1)
        left.plot(run["epoch"], run["train_loss"], color=colour, linewidth=0.6, linestyle=_DASHED)
        for axes, column in ((left, "val_loss"), (right, score)):
            axes.plot(run["epoch"], run[column], color=colour, linewidth=1)
            axes.plot(kept["epoch"], kept[column], color=colour, marker="o", linestyle="none", markersize=3)
    for axes, label in ((left, "Loss"), (right, says)):
        axes.set_ylabel(label)
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        finish(axes)
    entries = [handle(label, color=colour, linestyle="-") for label, colour in legend.items()]
    entries += [
        handle("training", color="0.3", linestyle=_DASHED, linewidth=0.6),
        handle(held_out, color="0.3", linestyle="-"),
        handle("epoch kept", color="0.3", marker="o"),
    ]
    place = {"loc": "outside lower center", "ncols": 3} if narrow else {"loc": "outside right center"}
    figure.legend(handles=entries, title=title, title_fontsize=6.5, handlelength=2.2, **place)
    return figure


def _caption(table: pd.DataFrame) -> str:
    """How many runs of how many epochs."""
    runs = table.groupby(["fraction", "seed"])["epoch"].max()
    return f"{span(pd.Series([len(runs)]), 'runs')} of {span(runs, 'epochs')}. Dots: the epoch whose weights were kept."
