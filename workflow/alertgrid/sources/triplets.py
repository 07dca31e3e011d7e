"""The stamps of the published format: one npy array (N, 63, 63, 3) per split, up to 40 GB, read in blocks.

The array is mapped anew for every block: pages of one long-lived map would count as memory of this process, until all
of the file does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..columns import CHANNELS, STAMP_SIZE
from ..errors import StudyError
from ..stamps import preprocess_cutouts

NORM_TOLERANCE = 1e-3  # stamps that went through float16 are off by 3e-4


def row_of(path: Path, row: int) -> str:
    """Name a row as the array counts it, from 0, and as an editor counts the lines of the CSV beside it."""
    return f"{path}, row {row} counted from 0 (line {row + 2} of the CSV)"


def open_triplets(path: Path) -> np.ndarray:
    """Map a triplet file without reading it, (N, 63, 63, 3).

    Raises
    ------
    StudyError
        The file is missing, truncated, no npy, or holds something else than such an array.
    """
    expected = f"floating-point array of shape (N, {STAMP_SIZE}, {STAMP_SIZE}, {len(CHANNELS)})"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise StudyError(str(path), "there is no such file", "the stamps of a split", _NAMES) from None
    except (ValueError, OSError, EOFError) as error:
        problem = "truncated or damaged npy file" if _is_npy(path) else "not an npy file"
        raise StudyError(str(path), f"{problem} ({error})", expected, "download or copy it again") from None
    if not isinstance(array, np.ndarray):
        problem = f"an npz archive of {', '.join(array.files)}, not an npy file"
        raise StudyError(str(path), problem, expected, "save the array alone, with numpy.save")
    if array.ndim != 4 or array.shape[1:] != (STAMP_SIZE, STAMP_SIZE, len(CHANNELS)):
        remedy = "write it with the channels last: science, template, difference"
        raise StudyError(str(path), f"stamps of shape {array.shape}", expected, remedy)
    if array.dtype.kind != "f":
        raise StudyError(str(path), f"stamps of type {array.dtype}", expected, "normalise the cutouts and save floats")
    if not array.flags["C_CONTIGUOUS"]:
        remedy = "save it again with numpy.ascontiguousarray"
        raise StudyError(str(path), "array in Fortran order", "array in C order, alert after alert", remedy)
    return array


_NAMES = "correct data.folder, data.stamps, data.version, data.cuts or data.splits"


def _is_npy(path: Path) -> bool:
    """Whether the file begins as npy files do."""
    try:
        with open(path, "rb") as handle:
            return handle.read(6) == b"\x93NUMPY"
    except OSError:
        return False


def read_triplets(path: Path, rows: np.ndarray, normalise: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read some rows of a triplet file as stamps.

    Parameters
    ----------
    path : Path
        A file that `open_triplets` accepts.
    rows : (n,) int
        Ascending row numbers, close together.
    normalise : bool
        Divide each cutout by its L2 norm; otherwise the file must hold cutouts of unit norm, as published.

    Returns
    -------
    stamps : (n, 3, 63, 63) float32
    blank : (n,) bool
        Alerts with a cutout that is all zero; they cannot be used.

    Raises
    ------
    StudyError
        NaN or infinity in a stamp, or a norm that is not 1; names the row.
    """
    if not len(rows):
        return np.empty((0, len(CHANNELS), STAMP_SIZE, STAMP_SIZE), np.float32), np.empty(0, bool)
    block = open_triplets(path)[rows[0] : rows[-1] + 1]
    stamps = np.ascontiguousarray(block.transpose(0, 3, 1, 2), dtype=np.float32)
    if len(stamps) > len(rows):
        stamps = stamps[rows - rows[0]]
    _check_finite(path, rows, stamps)
    norms = np.sqrt(np.einsum("nchw,nchw->nc", stamps, stamps, dtype=np.float64))
    blank = (norms <= STAMP_SIZE * 1e-9).any(axis=1)  # the padding alone has this norm at most
    if normalise:
        return preprocess_cutouts(stamps), blank
    _check_norms(path, rows, np.where(blank[:, None], 1.0, norms))
    return stamps, blank


def _check_finite(path: Path, rows: np.ndarray, stamps: np.ndarray) -> None:
    """Refuse NaN and infinity, naming the first."""
    finite = np.isfinite(stamps).all(axis=(2, 3))
    if not finite.all():
        position, channel = np.argwhere(~finite)[0]
        raise StudyError(
            row_of(path, rows[position]),
            f"NaN or infinity in the {CHANNELS[channel]} stamp",
            "finite pixels (masked ones are 0 in the published format)",
            "set NaN to 0 before the division by the norm, or remove the row from both files",
        )


def _check_norms(path: Path, rows: np.ndarray, norms: np.ndarray) -> None:
    """Refuse cutouts that were not divided by their norm."""
    wrong = np.argwhere(np.abs(norms - 1) > NORM_TOLERANCE)
    if len(wrong):
        position, channel = wrong[0]
        raise StudyError(
            row_of(path, rows[position]),
            f"the {CHANNELS[channel]} stamp has L2 norm {norms[position, channel]:.6g}",
            f"1 within {NORM_TOLERANCE}: the published stamps are divided by their norm",
            "set data.normalise to true to have it done here",
        )
