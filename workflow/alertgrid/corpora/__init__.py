"""Which images can an encoder be pre-trained on? Every corpus ends as stamps, targets, a split and a task.

`hdf5` holds images with measured targets (the simulator's galaxies); `images` is a folder or zip of pictures with a
table of labels (Galaxy Zoo, or any survey's own); `fractals` is drawn from formulas. Images become stamps by the
preprocessing of alerts: three channels, 63 x 63, unit L2 norm per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import StudyError
from .corpus import Corpus, Task
from .fractals import draw_fractals
from .measured import read_hdf5
from .pictures import read_images

__all__ = ["READERS", "Corpus", "Task", "draw_fractals", "load_corpus", "read_hdf5", "read_images"]

READERS: dict[str, Callable[..., Corpus]] = {"hdf5": read_hdf5, "images": read_images, "fractals": draw_fractals}


def load_corpus(settings: Mapping[str, Any]) -> Corpus:
    """Read or draw the corpus that the settings describe.

    Parameters
    ----------
    settings : mapping
        `source` ("hdf5", "images" or "fractals") and the arguments of that reader.

    Raises
    ------
    StudyError
        Unknown source or argument, or files that are not as expected.
    """
    given = dict(settings)
    source = given.pop("source", None)
    if source not in READERS:
        raise StudyError("pretraining.corpus.source", f"is {source!r}", f"one of {sorted(READERS)}", "correct it")
    try:
        corpus = READERS[source](**given)
    except TypeError as error:
        raise StudyError(
            f"pretraining.corpus ({source})", str(error), "the reader's arguments", "correct it"
        ) from error
    for part in ("train", "val"):
        if not np.any(corpus.split == part):
            raise StudyError(f"corpus {corpus.name!r}", f"has no image to {part}", "some", "check its split column")
    return corpus
