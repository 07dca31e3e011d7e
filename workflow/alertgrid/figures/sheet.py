"""How triplets are laid out on a page: groups with a heading, rows of triplets, titles above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.visualization import ZScaleInterval
from matplotlib.figure import Figure

from .style import PAGE_WIDTH

_EDGE, _GAP = 0.05, 0.12  # inch: around the page, between triplets
_HEAD, _TITLE = 0.28, 0.13  # inch: heading of a group, title above a triplet
_SEAM = 2  # pixels of white between the stamps of a triplet


@dataclass(frozen=True)
class Group:
    """Some triplets (3, 63, 63) with a left and a right title each, under one heading."""

    head: str
    triplets: Sequence[np.ndarray]
    titles: Sequence[str]
    notes: Sequence[str]


def stretch(stamp: np.ndarray) -> np.ndarray:
    """Scale a stamp to [0, 1] between the limits of IRAF's zscale, as astronomers look at images.

    Parameters
    ----------
    stamp : (63, 63) float
        Pixels that are 0 or 1e-9 are padding or masked and do not count for the limits.

    Returns
    -------
    (63, 63) float in [0, 1]
    """
    stamp = np.asarray(stamp, np.float32)
    seen = stamp[np.abs(stamp) > 1e-8]
    if not seen.size:
        return np.zeros_like(stamp)
    low, high = ZScaleInterval().get_limits(seen)
    return np.clip((stamp - low) / max(high - low, 1e-12), 0, 1)


def draw_sheet(groups: Sequence[Group], columns: int) -> Figure:
    """Lay out the groups below each other.

    Parameters
    ----------
    groups : sequence of Group
        Empty ones keep their heading, so that the reader sees that there are none.
    columns : int
        Triplets side by side.
    """
    width = (PAGE_WIDTH - 2 * _EDGE - (columns - 1) * _GAP) / columns
    size = width * 63 / (3 * 63 + 2 * _SEAM)
    step = size + _TITLE
    height = 2 * _EDGE + sum(_HEAD + step * -(-len(group.triplets) // columns) for group in groups)
    figure = Figure(figsize=(PAGE_WIDTH, height))
    top = height - _EDGE
    for group in groups:
        figure.text(_EDGE / PAGE_WIDTH, (top - 0.22) / height, group.head, fontsize=8, fontweight="bold", va="baseline")
        top -= _HEAD
        for i, triplet in enumerate(group.triplets):
            left = _EDGE + (i % columns) * (width + _GAP)
            bottom = top - (i // columns + 1) * step
            axes = figure.add_axes((left / PAGE_WIDTH, bottom / height, width / PAGE_WIDTH, size / height))
            _triplet(axes, triplet, group.titles[i], group.notes[i])
        top -= step * -(-len(group.triplets) // columns)
    return figure


def _triplet(axes, triplet: np.ndarray, title: str, note: str) -> None:
    """Three stamps side by side as one image, north up as ZTF stores them."""
    seam = np.ones((triplet.shape[1], _SEAM), np.float32)
    pieces = [stretch(stamp) for stamp in triplet]
    image = np.hstack([pieces[0], seam, pieces[1], seam, pieces[2]])
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    axes.text(0, 1.02, title, transform=axes.transAxes, fontsize=5.5, va="bottom")
    axes.text(1, 1.02, note, transform=axes.transAxes, fontsize=5.5, va="bottom", ha="right")
