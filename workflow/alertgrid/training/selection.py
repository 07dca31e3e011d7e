"""Which alerts does a run train on, validate and predict, and with which labels? From the catalogue alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import StudyError
from ..splits import training_rows
from .randomness import generator


@dataclass(frozen=True)
class Selection:
    """Rows of the dataset that a run uses, in the dataset's order, and the labels it learns from.

    Attributes
    ----------
    train, val, test : (n,) int64 arrays
        Row numbers.
    labels : (N,) float32 array
        Label of every row of the dataset, permuted over objects for the control.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    labels: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """All rows used, ascending."""
        return np.union1d(np.union1d(self.train, self.val), self.test)


def select(
    catalogue: pd.DataFrame, *, fraction: float, draw: int, n_max: int, labels: str = "given", seed: int = 0
) -> Selection:
    """Choose the rows of a run.

    Parameters
    ----------
    catalogue : DataFrame
        Result of `splits.assign_splits`.
    fraction, draw : float, int
        Share of the training objects, and which ranking of them.
    n_max : int
        Most training alerts per object (see `limit_alerts`), 0 for no limit; validation and test are the catalogue's.
    labels : {"given", "permuted"}
        The control permutes labels over objects, with `seed`.

    Raises
    ------
    StudyError
        Training or validation has only one label, or a split is empty.
    """
    # ASSUME: which 100 alerts of an object are kept belongs to the data, as published, so all seeds of a draw agree.
    kept = limit_alerts(catalogue, n_max, draw) if n_max else np.ones(len(catalogue), bool)
    split = catalogue["split"].to_numpy()
    # All runs of a study are judged on the same alerts, whatever their own N_max: the catalogue leaves out the others.
    masks = {"train": training_rows(catalogue, fraction, draw) & kept, "val": split == "val", "test": split == "test"}
    values = catalogue["label"].to_numpy(np.float32)
    if labels == "permuted":
        values = permute_labels(catalogue, seed)
    for name in ("train", "val"):
        _check_labels(name, values[masks[name]], fraction)
    return Selection(**{name: np.flatnonzero(mask) for name, mask in masks.items()}, labels=values)


def _check_labels(name: str, labels: np.ndarray, fraction: float) -> None:
    """Refuse a set in which there is nothing to tell apart."""
    if set(labels.tolist()) != {0.0, 1.0}:
        found = f"{len(labels)} alerts, {int(labels.sum())} of label 1"
        raise StudyError(
            f"{name} rows at fraction {fraction:g}",
            found,
            "alerts of both labels",
            "raise the fraction or enlarge the data",
        )


def limit_alerts(catalogue: pd.DataFrame, n_max: int, seed: int) -> np.ndarray:
    """N_max of BTSbot in training: no object may outweigh the others with hundreds of alerts.

    Parameters
    ----------
    catalogue : DataFrame
        Columns objectId, source_set, split, jd.
    n_max : int
        Most training alerts per object: `vars` keep their latest ones, `trues`, `dims` and `rejects` random ones.
    seed : int
        Of the random ones.

    Returns
    -------
    (N,) bool array
        Which alerts are kept: all of the other splits, which `splits.assign_splits` has thinned as published.
    """
    variable = (catalogue["source_set"] == "vars").to_numpy()
    limited = (catalogue["split"] == "train").to_numpy()
    chance = generator(seed, "limit").random(len(catalogue))
    preference = np.where(variable, -catalogue["jd"].to_numpy(), chance)
    rank = pd.Series(preference).groupby(catalogue["objectId"].to_numpy()).rank(method="first").to_numpy()
    return ~limited | (rank <= n_max)


def permute_labels(catalogue: pd.DataFrame, seed: int) -> np.ndarray:
    """Labels permuted over the objects of the training split, and over those of the validation split, (N,) float32.

    Each split keeps its objects, their alerts and its number of positive objects, so a network can learn only what the
    permutation left: nothing. Test labels stay, since nobody learns from them.
    """
    chance = generator(seed, "labels")
    labels = catalogue["label"].to_numpy(np.float32).copy()
    for split in ("train", "val"):
        rows = np.flatnonzero(catalogue["split"].to_numpy() == split)
        number, names = pd.factorize(catalogue["objectId"].to_numpy()[rows])
        of_object = np.zeros(len(names), np.float32)
        of_object[number] = labels[rows]
        labels[rows] = chance.permutation(of_object)[number]
    return labels
