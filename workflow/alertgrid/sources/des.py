"""Candidates of the Dark Energy Survey's autoscan sample: 51 x 51 stamps and nothing else.

Source: Goldstein et al. 2015 (AJ 150, 82), the data of arXiv 2203.07390. The stamps are 8-bit images stretched for
display, with marks drawn into their corners, so they carry shapes but no fluxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ..columns import METADATA_COLUMNS, MISSING
from ..errors import StudyError
from ..stamps import preprocess_cutouts, refusal_reason
from . import Chunk, Refusal

# The file holds template, search, difference; the search image is the science image.
CHANNEL_ORDER = (1, 0, 2)
BLOCK = 1024  # candidates preprocessed at a time


def inputs(*, file: str) -> list[Path]:
    """The one file that `read` opens."""
    return [Path(file)]


def read(*, file: str) -> Iterator[Chunk]:
    """Yield the candidates: label 1 for a real source, 0 for an artefact; each counts as an object of its own.

    Parameters
    ----------
    file : str
        An npz with `triplets` (N, h, w, 3), h and w at most 63, and `artifact` (N,), 1 for an artefact.

    Raises
    ------
    StudyError
        The file is missing, truncated, or does not hold such arrays; names the row of a label outside {0, 1}.
    """
    triplets, artifact = _load(file)
    return (_chunk(file, start, triplets, artifact) for start in range(0, len(triplets), BLOCK))


def _load(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Read and check the two arrays."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            triplets, artifact = arrays["triplets"], arrays["artifact"]
    # zipfile and numpy raise errors of several kinds on damaged files.
    except Exception as error:
        expected = "an npz file with the arrays triplets and artifact"
        raise StudyError(file, f"cannot be read ({error})", expected, "correct data.file or copy it again") from None
    if triplets.ndim != 4 or triplets.shape[-1] != len(CHANNEL_ORDER) or artifact.shape != triplets.shape[:1]:
        problem = f"triplets of shape {triplets.shape}, artifact of shape {artifact.shape}"
        raise StudyError(file, problem, "shapes (N, h, w, 3) and (N,)", "write the arrays again")
    wrong = np.flatnonzero(~np.isin(artifact, (0, 1)))
    if len(wrong):
        problem = f"artifact is {artifact[wrong[0]]}"
        raise StudyError(f"{file}, row {wrong[0]} counted from 0", problem, "0 or 1", "correct or remove the row")
    return triplets, artifact


def _chunk(file: str, start: int, triplets: np.ndarray, artifact: np.ndarray) -> Chunk:
    """One block of candidates, without those whose cutouts are unusable."""
    rows = np.arange(start, min(start + BLOCK, len(triplets)))
    cutouts = triplets[rows].transpose(0, 3, 1, 2)[:, CHANNEL_ORDER].astype(np.float32)
    reasons = [refusal_reason(alert) for alert in cutouts]
    good = np.array([reason is None for reason in reasons])
    metadata = np.full((good.sum(), len(METADATA_COLUMNS)), MISSING, np.float32)
    refused = [
        Refusal(Path(file).name, int(row), str(row), "", reason)
        for row, reason in zip(rows, reasons, strict=True)
        if reason
    ]
    return Chunk(_catalogue(rows[good], 1 - artifact[rows[good]]), metadata, preprocess_cutouts(cutouts[good]), refused)


def _catalogue(rows: np.ndarray, label: np.ndarray) -> pd.DataFrame:
    """Columns of the data contract; what the sample does not tell is NaN, and the band 0."""
    unknown = dict.fromkeys(("jd", "magpsf", "ra", "dec"), np.nan)
    return pd.DataFrame(
        {
            "candid": rows.astype(np.int64),
            "objectId": [f"DES{row:08d}" for row in rows],
            "fid": np.int64(0),
            # ASSUME: autoscan's candidates are positive differences.
            "isdiffpos": "t",
            "label": label.astype(np.int64),
            "source_set": np.where(label == 1, "trues", "rejects"),
            "split": "",
        }
        | unknown
    )
