"""How did each training go? Loss and validation AUC against the epoch: one figure a cell, one line a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.ticker import MaxNLocator

from .style import PAGE_WIDTH, Drawing, finish, handle, house_style, new_figure, shade_map
from .words import fraction_label, need, span

_COLUMNS = ("cell", "fraction", "seed", "epoch", "train_loss", "val_loss", "val_auc", "best")


def curves(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One figure per cell."""
    table = need(tables, "history", _COLUMNS)
    for cell, rows in table.groupby("cell", sort=False):
        with house_style():
            yield Drawing(f"curves_{cell}", _panels(rows), f"Training of {cell}", _caption(rows))


def _panels(table: pd.DataFrame):
    """Loss on the left (thin: training, thick: validation), AUC on the right."""
    shades = shade_map(sorted(table["fraction"].unique()))
    figure = new_figure(PAGE_WIDTH, 2.2)
    left, right = figure.subplots(1, 2)
    for (fraction, _), run in table.groupby(["fraction", "seed"]):
        best, colour = run[run["best"] == 1], shades[fraction]
        left.plot(run["epoch"], run["train_loss"], color=colour, linewidth=0.6, linestyle=(0, (3, 1.5)))
        for axes, column in ((left, "val_loss"), (right, "val_auc")):
            axes.plot(run["epoch"], run[column], color=colour, linewidth=1)
            axes.plot(best["epoch"], best[column], color=colour, marker="o", linestyle="none", markersize=3)
    left.set_ylabel("Loss")
    right.set_ylabel("Validation ROC AUC")
    for axes in (left, right):
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        finish(axes)
    entries = [handle(fraction_label(value), color=colour, linestyle="-") for value, colour in shades.items()]
    entries += [
        handle("training", color="0.3", linestyle=(0, (3, 1.5)), linewidth=0.6),
        handle("validation", color="0.3", linestyle="-"),
    ]
    entries.append(handle("epoch kept", color="0.3", marker="o"))
    figure.legend(
        handles=entries, loc="outside right center", title="Training sources", title_fontsize=6.5, handlelength=2.2
    )
    return figure


def _caption(table: pd.DataFrame) -> str:
    """How many runs of how many epochs."""
    runs = table.groupby(["fraction", "seed"])["epoch"].max()
    return f"{span(pd.Series([len(runs)]), 'runs')} of {span(runs, 'epochs')}. Dots: the epoch whose weights were kept."
