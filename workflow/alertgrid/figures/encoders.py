"""How did each pre-training go? Loss and score on held-out images by epoch: a figure a corpus, a line an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import PAGE_WIDTH, Drawing, colour_map, finish, handle, house_style, new_figure
from .words import need, span

_COLUMNS = ("encoder", "architecture", "pretraining", "epoch", "train_loss", "val_loss", "val_score", "best")
_DASHED = (0, (3, 1.5))


def encoders(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One figure per pre-training, since the losses of different corpora are no figure of each other."""
    table = need(tables, "encoder_history", _COLUMNS)
    for pretraining, rows in table.groupby("pretraining", sort=False):
        with house_style():
            yield Drawing(f"encoders_{pretraining}", _panels(rows), f"Pre-training on {pretraining}", _caption(rows))


def _panels(table: pd.DataFrame) -> Figure:
    """Loss on the left (dashed: training, full: held-out images), score on the right."""
    colours = colour_map(list(dict.fromkeys(table["architecture"])))
    figure = new_figure(PAGE_WIDTH, 2.2)
    left, right = figure.subplots(1, 2)
    for architecture, run in table.groupby("architecture", sort=False):
        best, colour = run[run["best"] == 1].tail(1), colours[architecture]
        left.plot(run["epoch"], run["train_loss"], color=colour, linewidth=0.6, linestyle=_DASHED)
        for axes, column in ((left, "val_loss"), (right, "val_score")):
            axes.plot(run["epoch"], run[column], color=colour, linewidth=1)
            axes.plot(best["epoch"], best[column], color=colour, marker="o", linestyle="none", markersize=3)
    left.set_ylabel("Loss")
    right.set_ylabel("Score on held-out images")
    for axes in (left, right):
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        finish(axes)
    entries = [handle(architecture, color=colour, linestyle="-") for architecture, colour in colours.items()]
    entries += [
        handle("training", color="0.3", linestyle=_DASHED, linewidth=0.6),
        handle("held-out images", color="0.3", linestyle="-"),
        handle("epoch kept", color="0.3", marker="o"),
    ]
    figure.legend(handles=entries, loc="outside right center", title="Encoder", title_fontsize=6.5, handlelength=2.2)
    return figure


def _caption(table: pd.DataFrame) -> str:
    """How many encoders of how many epochs, and what the score is."""
    epochs = table.groupby("encoder")["epoch"].max()
    return (
        f"{span(pd.Series([len(epochs)]), 'encoders')} of {span(epochs, 'epochs')}. The score is the mean over what is "
        "learned of its own metric (table encoders.csv). Dots: the epoch whose weights were kept."
    )
