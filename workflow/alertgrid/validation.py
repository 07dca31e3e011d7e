"""Is this data what the contract says? Shapes, types, finiteness, labels, uniqueness, leaks between splits."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from .columns import CATALOGUE_COLUMNS, METADATA_COLUMNS, SOURCE_SETS, SPLITS
from .errors import StudyError
from .sources import Chunk

SHOWN = 5  # offenders named in a message


def stamp_digests(stamps: np.ndarray) -> np.ndarray:
    """Hash each triplet as stored, (N,) int64: equal digests mean byte-identical stamps."""
    digests = [hashlib.blake2b(triplet.tobytes(), digest_size=8).digest() for triplet in stamps]
    return np.frombuffer(b"".join(digests), "int64").copy()


def check_chunk(chunk: Chunk, stamp_shape: tuple[int, ...]) -> None:
    """Refuse a chunk that breaks the data contract.

    Raises
    ------
    StudyError
        Names the column or array, and the first candid concerned.
    """
    catalogue, count = chunk.catalogue, len(chunk.catalogue)
    missing = [name for name in CATALOGUE_COLUMNS if name not in catalogue]
    if missing:
        _fail("catalogue", f"columns missing: {', '.join(missing)}", "all of: " + ", ".join(CATALOGUE_COLUMNS))
    if chunk.stamps.shape != (count, *stamp_shape):
        _fail("stamps", f"shape {chunk.stamps.shape}", f"{(count, *stamp_shape)}")
    if chunk.metadata.shape != (count, len(METADATA_COLUMNS)):
        _fail("metadata", f"shape {chunk.metadata.shape}", f"{(count, len(METADATA_COLUMNS))}")
    if catalogue["candid"].dtype.kind != "i":
        _fail("candid", f"type {catalogue['candid'].dtype}", "int64: a float cannot hold a 19-digit number")
    _check_values(catalogue, "label", {0, 1})
    _check_values(catalogue, "source_set", set(SOURCE_SETS))
    _check_values(catalogue, "split", {"", *SPLITS})
    _check_finite(chunk)


def _check_values(catalogue: pd.DataFrame, column: str, allowed: set) -> None:
    """Refuse values outside a closed list."""
    wrong = catalogue[~catalogue[column].isin(allowed)]
    if len(wrong):
        candid, value = wrong["candid"].tolist()[0], wrong[column].tolist()[0]
        _fail(f"candid {candid}", f"{column} is {value!r}", f"one of {sorted(allowed)}")


def _check_finite(chunk: Chunk) -> None:
    """Refuse NaN and infinity in what the networks will see."""
    bad = np.argwhere(~np.isfinite(chunk.metadata))
    if len(bad):
        row, column = bad[0]
        candid = chunk.catalogue["candid"].iloc[row]
        _fail(f"candid {candid}", f"{METADATA_COLUMNS[column]} is {chunk.metadata[row, column]}", "a finite number")
    finite = np.isfinite(chunk.stamps).all(axis=(1, 2, 3))
    if not finite.all():
        candid = chunk.catalogue["candid"].to_numpy()[~finite][0]
        _fail(f"candid {candid}", "NaN or infinity in its stamps", "finite pixels")


def _fail(where: str, problem: str, expected: str) -> None:
    raise StudyError(where, problem, expected, "mend the source of these alerts, or its reader")


def check_unique(candid: np.ndarray) -> None:
    """Refuse a candid, (N,) int64, that occurs twice.

    Raises
    ------
    StudyError
        Names up to five of the repeated numbers.
    """
    numbers, counts = np.unique(candid, return_counts=True)
    repeated = numbers[counts > 1]
    if len(repeated):
        raise StudyError(
            "candid " + ", ".join(map(str, repeated[:SHOWN])),
            f"{len(repeated)} alert number(s) occur more than once",
            "each alert once",
            "remove the repeated rows from the source",
        )


def check_leaks(catalogue: pd.DataFrame) -> None:
    """Refuse an object, candid or byte-identical stamp that lies in two splits.

    Parameters
    ----------
    catalogue : DataFrame
        Columns objectId, candid, stamp_digest, split.

    Raises
    ------
    StudyError
        Names up to five offenders and their splits.
    """
    check_unique(catalogue["candid"].to_numpy())
    used = catalogue[catalogue["split"].isin(SPLITS)]
    for column, what in (("objectId", "object"), ("stamp_digest", "byte-identical stamp")):
        splits = used.groupby(column)["split"].nunique()
        leaks = splits.index[splits > 1]
        if len(leaks):
            raise StudyError(
                f"splits, {what}", _offenders(used, column, leaks), f"each {what} in one split only", _LEAK_REMEDY
            )


_LEAK_REMEDY = "set splits.policy to 'redraw' (it keeps such alerts together), or mend the published splits"


def _offenders(used: pd.DataFrame, column: str, leaks: pd.Index) -> str:
    """Name the first offenders with their objects and splits."""
    shown = used[used[column].isin(leaks[:SHOWN])]
    texts = [
        f"{' = '.join(sorted(set(rows['objectId'])))} ({', '.join(sorted(set(rows['split'])))})"
        for _, rows in shown.groupby(column)
    ]
    return f"{len(leaks)} in more than one split: " + "; ".join(texts)
