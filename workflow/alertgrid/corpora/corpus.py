"""What every corpus is: stamps, targets, a split and a task."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field

import numpy as np

from ..columns import CHANNELS, STAMP_SIZE
from ..errors import disk_errors

IN_MEMORY = 2**31  # bytes of images, 90,000 of them; more lie in a file


@dataclass(frozen=True)
class Task:
    """What the encoder is to learn.

    Parameters
    ----------
    kind : {"classification", "regression"}
        One class per image, or k numbers.
    targets : tuple of str
        Names of the k numbers; for classification the name of the label.
    kinds : tuple of str
        "regression" or "binary" for each of the k numbers; ("classes",) for classification.
    classes : tuple of str
        Names of the classes.
    """

    kind: str
    targets: tuple[str, ...]
    kinds: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Length of the network's answer."""
        return len(self.classes) or len(self.targets)


@dataclass(frozen=True)
class Corpus:
    """Images to pre-train on.

    Attributes
    ----------
    name : str
        For the label of the encoder, for example "Galaxy Zoo 1".
    images : (n, 3, 63, 63) float16
        Stamps, each channel of unit L2 norm; stored as dataset.h5 stores them. Perhaps mapped, see `empty_images`.
    targets : (n, k) float32, or (n,) int64 for classification
        Unscaled numbers, 0 and 1 for binary ones, or the class.
    split : (n,) str
        "train", "val", or anything else for images that are left alone.
    task : Task
    licence : str
    hashes : dict
        Name -> SHA-256 of each file read.
    """

    name: str
    images: np.ndarray
    targets: np.ndarray
    split: np.ndarray
    task: Task
    licence: str = "unknown"
    hashes: dict[str, str] = field(default_factory=dict)


def empty_images(count: int) -> np.ndarray:
    """Room for images, (count, 3, 63, 63) float16: in memory, or in a nameless file where that would take too much.

    Such a file lies in the folder of temporary files (TMPDIR), and nothing of it remains after a kill.

    Raises
    ------
    StudyError
        There is no space for the file.
    """
    shape = (count, len(CHANNELS), STAMP_SIZE, STAMP_SIZE)
    size = int(np.prod(shape)) * np.dtype(np.float16).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, np.float16)
    with disk_errors(tempfile.gettempdir()), tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk would else end the process at some later write
        return np.memmap(file, np.float16, "r+", shape=shape)


def draw_validation(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Split (n,) "train"/"val": in each group the given share, at least one of two or more, goes to validation."""
    generator = np.random.default_rng([seed, 1])
    split = np.full(len(groups), "train", dtype=object)
    for group in np.unique(groups):
        rows = generator.permutation(np.flatnonzero(groups == group))
        count = max(round(share * len(rows)), 1) if len(rows) > 1 else 0
        split[rows[:count]] = "val"
    return split
