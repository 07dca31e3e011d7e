"""What every corpus is: stamps, targets, a split and a task."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


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
        Stamps, each channel of unit L2 norm; stored as dataset.h5 stores them.
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


def draw_validation(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Split (n,) "train"/"val": in each group the given share, at least one of two or more, goes to validation."""
    generator = np.random.default_rng([seed, 1])
    split = np.full(len(groups), "train", dtype=object)
    for group in np.unique(groups):
        rows = generator.permutation(np.flatnonzero(groups == group))
        count = max(round(share * len(rows)), 1) if len(rows) > 1 else 0
        split[rows[:count]] = "val"
    return split
