"""How did each pre-training go? Loss and score on held-out images by epoch: a figure a corpus, a line an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from .curves import epoch_panels
from .style import Drawing, colour_map, house_style
from .words import need, span

_COLUMNS = ("encoder", "architecture", "pretraining", "epoch", "train_loss", "val_loss", "val_score", "best")


def encoders(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One figure per pre-training, since the losses of different corpora are no figure of each other."""
    table = need(tables, "encoder_history", _COLUMNS)
    for pretraining, rows in table.groupby("pretraining", sort=False):
        with house_style():
            page, column = (_panels(rows, narrow) for narrow in (False, True))
            yield Drawing(f"encoders_{pretraining}", page, f"Pre-training on {pretraining}", _caption(rows), column)


def _panels(table: pd.DataFrame, narrow: bool) -> Figure:
    """One colour an encoder."""
    colours = colour_map(list(dict.fromkeys(table["architecture"])))
    runs = [(colours[architecture], run) for architecture, run in table.groupby("architecture", sort=False)]
    words = {"says": "Score on held-out images", "held_out": "held-out images"}
    return epoch_panels(runs, colours, "Encoder", score="val_score", narrow=narrow, **words)


def _caption(table: pd.DataFrame) -> str:
    """How many encoders of how many epochs, and what the score is."""
    epochs = table.groupby("encoder")["epoch"].max()
    return (
        f"{span(pd.Series([len(epochs)]), 'encoders')} of {span(epochs, 'epochs')}. The score is the mean over what is "
        "learned of its own metric (table encoders.csv). Dots: the epoch whose weights were kept."
    )
