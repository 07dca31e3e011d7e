"""Images with measured targets in one HDF5 file, as the simulator writes its galaxies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..columns import STAMP_SIZE
from ..errors import StudyError
from ..files import sha256
from .corpus import Corpus, Task, draw_validation, empty_images

_BLOCK = 1024  # images in memory at float32 while a corpus is read


def read_hdf5(
    file: str | Path, *, name: str = "simulated galaxies", licence: str = "MIT", val_share: float = 0.1, seed: int = 0
) -> Corpus:
    """Read images with k measured targets.

    Parameters
    ----------
    file : path
        HDF5: /images (n, 3, 63, 63) float, /targets (n, k) float, attributes `targets` (names) and `kinds`
        ("regression" or "binary" for each).
    name, licence : str
        For the manifest.
    val_share : float
        Share of the images for validation, drawn with `seed`.
    """
    file = Path(file)
    try:
        with h5py.File(file) as handle:
            names, kinds = (tuple(map(str, _attribute(handle, key))) for key in ("targets", "kinds"))
            targets = handle["targets"][:].astype(np.float32)
            _check_shapes(file, handle["images"].shape, targets.shape, names, kinds)
            images = _as_float16(handle["images"])
    except (OSError, KeyError) as error:
        raise StudyError(
            str(file), f"cannot be read as a corpus: {error}", "/images, /targets, attributes targets and kinds",
            "write it again",
        ) from error  # fmt: skip
    _check_finite(file, images, targets)
    split = draw_validation(np.zeros(len(images), np.int64), val_share, seed)
    return Corpus(name, images, targets, split, Task("regression", names, kinds), licence, {file.name: sha256(file)})


def _attribute(handle: h5py.File, key: str) -> Sequence[Any]:
    """Attribute of the file, or of its targets."""
    values = handle.attrs[key] if key in handle.attrs else handle["targets"].attrs[key]
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def _as_float16(images: h5py.Dataset) -> np.ndarray:
    """Images of a file, read in blocks."""
    result = empty_images(len(images))
    for start in range(0, len(images), _BLOCK):
        result[start : start + _BLOCK] = images[start : start + _BLOCK]
    return result


def _check_shapes(file: Path, images: tuple, targets: tuple, names: tuple, kinds: tuple) -> None:
    """Refuse arrays that do not belong together."""
    expected = f"(n, 3, {STAMP_SIZE}, {STAMP_SIZE}) images, (n, {len(names)}) targets, {len(names)} kinds"
    shapes = images[1:] == (3, STAMP_SIZE, STAMP_SIZE) and targets == (images[0], len(names))
    if not shapes or len(kinds) != len(names) or not set(kinds) <= {"regression", "binary"}:
        found = f"{images} images, {targets} targets, kinds {kinds}"
        raise StudyError(str(file), f"holds {found}", expected, "write it again")


def _check_finite(file: Path, images: np.ndarray, targets: np.ndarray) -> None:
    """Refuse numbers that are none."""
    finite = np.isfinite(targets).all(axis=1)
    for start in range(0, len(images), _BLOCK):
        finite[start : start + _BLOCK] &= np.isfinite(images[start : start + _BLOCK]).all(axis=(1, 2, 3))
    wrong = np.flatnonzero(~finite)
    if len(wrong):
        raise StudyError(
            f"{file}, image {wrong[0]}", f"holds NaN or infinity, as {len(wrong)} do", "numbers", "mend it"
        )
