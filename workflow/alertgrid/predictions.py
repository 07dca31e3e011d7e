"""Scores of one run on disk: predictions.h5 with candid, split and score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from .columns import SPLITS
from .errors import StudyError
from .files import atomic_path


def write_predictions(
    path: str | Path,
    candid: np.ndarray,
    split: np.ndarray,
    score: np.ndarray,
    attributes: Mapping[str, str | float | int],
) -> None:
    """Write scores atomically.

    Parameters
    ----------
    candid : (N,) int64
    split : (N,) str
        "val" or "test".
    score : (N,) float
        Probability of the label 1, in [0, 1].
    attributes : mapping
        What the scores belong to (cell, fraction, seed ...).

    Raises
    ------
    StudyError
        A score is not a number in [0, 1], or the lengths differ.
    """
    score = np.asarray(score, np.float64)
    wrong = np.flatnonzero(~((score >= 0) & (score <= 1)))
    if len(wrong) or not len(candid) == len(split) == len(score):
        found = f"candid {candid[wrong[0]]} has score {score[wrong[0]]}" if len(wrong) else "lengths differ"
        raise StudyError(str(path), found, "one score in [0, 1] per alert", "look at the training log of this run")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(attributes)
        file.create_dataset("candid", data=np.asarray(candid, np.int64))
        file.create_dataset("split", data=np.asarray(split).astype("S5"))
        file.create_dataset("score", data=score)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read candid (int64), split (category of str) and score (float64), one row per alert.

    Raises
    ------
    StudyError
        The file is missing or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            columns = {name: file[name][()] for name in ("candid", "split", "score")}
    except (OSError, KeyError) as error:
        expected = "predictions written by a finished run"
        raise StudyError(
            str(path), f"cannot be read ({error})", expected, "delete the run's folder and rerun"
        ) from None
    # A category, since decoding every row would take longer than all figures made of them.
    codes = np.full(len(columns["split"]), -1)
    for code, name in enumerate(SPLITS):
        codes[columns["split"] == name.encode()] = code
    columns["split"] = pd.Categorical.from_codes(codes, SPLITS)
    return pd.DataFrame(columns)
