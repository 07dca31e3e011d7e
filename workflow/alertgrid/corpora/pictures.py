"""Pictures in a folder or zip, with a table of labels: Galaxy Zoo, or any survey's own."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..columns import STAMP_SIZE
from ..errors import StudyError
from ..files import sha256
from ..settings.words import suggestion
from ..stamps import preprocess_cutouts
from .corpus import Corpus, Task, draw_validation, empty_images

_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


def read_images(
    images: str | Path,
    labels: str | Path,
    *,
    columns: Sequence[str],
    name_column: str,
    split_column: str | None = None,
    merge: Mapping[str, str | None] | None = None,
    crop: float = 1.0,
    name: str = "labelled images",
    licence: str = "unknown",
    val_share: float = 0.1,
    seed: int = 0,
) -> Corpus:
    """Read pictures and their labels.

    Parameters
    ----------
    images : path
        Folder or zip of pictures (jpg, png, tif, ...).
    labels : path
        CSV, one row per picture.
    columns : sequence of str
        One column: the class of each picture. Several: numbers to predict.
    name_column : str
        Column with the name or the end of the path of one picture, with or without its ending.
    split_column : str, optional
        Column of "train", "val" and other words (left alone); without one, or without "val", validation is drawn.
    merge : mapping, optional
        Class -> class to count it as, or None to leave its pictures alone. Classes that a mirror exchanges (the two
        senses of a spiral) must be merged, since augmentation flips the pictures.
    crop : float
        Side of the central square to use, as a share of the shorter side, in (0, 1].
    name, licence : str
        For the manifest.
    val_share : float
        Share drawn for validation, with `seed`, stratified by class.
    """
    images, labels = Path(images), Path(labels)
    table = _read_table(labels, [*columns, name_column, *([split_column] if split_column else [])], name_column)
    if len(columns) == 1:
        table[columns[0]] = _merged(labels, table[columns[0]].astype(str), dict(merge or {}))
        table = table[table[columns[0]].notna()]  # the index goes on counting rows of the file
    task, targets = _image_task(labels, table, list(columns))
    stored = empty_images(len(table))
    for row, picture in enumerate(_pictures(images, table[name_column])):
        stored[row] = preprocess_cutouts(_resize(picture, crop)[None])[0]
    split = _given_split(table, split_column, targets if targets.ndim == 1 else None, val_share, seed)
    hashes = {path.name: sha256(path) for path in (images, labels) if path.is_file()}
    return Corpus(name, stored, targets, split, task, licence, hashes)


def _read_table(path: Path, columns: list[str], name_column: str) -> pd.DataFrame:
    """Labels with the columns asked for and no gaps; names stay words, since a long number would lose digits."""
    try:
        table = pd.read_csv(path, dtype={name_column: str})
    except (OSError, ValueError) as error:
        raise StudyError(str(path), f"cannot be read: {error}", "a CSV of labels", "correct the path") from error
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise StudyError(str(path), f"has no column {absent[0]!r}", f"one of {list(table.columns)}", "correct the key")
    gaps = np.flatnonzero(table[columns].isna().any(axis=1))
    if len(gaps):
        raise StudyError(
            f"{path}, row {gaps[0] + 2}", "has an empty label", "a value in every row", "fill or remove it"
        )
    return table


def _merged(path: Path, classes: pd.Series, merge: Mapping[str, str | None]) -> pd.Series:
    """Classes as they count; None where pictures are left alone."""
    known = sorted(classes.unique())
    for name in merge:
        if name not in known:
            remedy = suggestion(name, known, "correct corpus.merge")
            raise StudyError(str(path), f"has no class {name!r} of corpus.merge", f"one of {known}", remedy)
    return classes.replace(merge)


def _image_task(path: Path, table: pd.DataFrame, columns: list[str]) -> tuple[Task, np.ndarray]:
    """Classification for one column, regression for several."""
    if len(columns) == 1:
        classes, targets = np.unique(table[columns[0]].astype(str), return_inverse=True)
        if len(classes) < 2:
            problem = f"column {columns[0]} holds {len(classes)} classes to tell apart: {', '.join(classes)}"
            raise StudyError(str(path), problem, "two or more", "correct corpus.columns or corpus.merge")
        return Task("classification", (columns[0],), ("classes",), tuple(map(str, classes))), targets.astype(np.int64)
    try:
        targets = table[columns].to_numpy(np.float32)
    except ValueError as error:
        raise StudyError(str(path), f"columns {columns} hold words: {error}", "numbers, or one column of classes",
                         "name one column") from error  # fmt: skip
    endless = np.flatnonzero(~np.isfinite(targets).all(axis=1))
    if len(endless):
        problem = f"holds {targets[endless[0]].tolist()}"
        raise StudyError(
            f"{path}, row {table.index[endless[0]] + 2}", problem, "finite numbers", "correct or remove it"
        )
    kinds = tuple("binary" if set(np.unique(column)) <= {0, 1} else "regression" for column in targets.T)
    return Task("regression", tuple(columns), kinds), targets


def _given_split(table, column: str | None, classes: np.ndarray | None, share: float, seed: int) -> np.ndarray:
    """The split of the table; validation is drawn from its training rows where it names none."""
    split = table[column].astype(str).to_numpy(object) if column else np.full(len(table), "train", object)
    if not np.any(split == "val"):
        rows = np.flatnonzero(split == "train")
        groups = np.zeros(len(rows), np.int64) if classes is None else classes[rows]
        split[rows] = draw_validation(groups, share, seed)
    return split


def _pictures(path: Path, names: pd.Series) -> Iterator[Image.Image]:
    """Pictures of these names, with or without their ending, in this order; the index counts rows of the labels."""
    if path.is_dir():
        files = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        yield from _open_all(path, names, files, lambda entry: (path / entry).read_bytes())
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _open_all(path, names, archive.namelist(), archive.read)
    except (OSError, zipfile.BadZipFile) as error:
        raise StudyError(str(path), f"cannot be read: {error}", "a folder or zip of pictures", "correct it") from error


def _open_all(path: Path, names: pd.Series, files: Sequence[str], read: Callable) -> Iterator[Image.Image]:
    """Open each picture."""
    found = _found(files, names)
    rows: dict[str, int] = {}
    for row, name in names.items():
        where = f"{path}, row {row + 2} of the labels"
        if len(found[name]) != 1:
            several = f"{len(found[name])} pictures {name!r}: {', '.join(found[name][:3])}"
            problem = f"has {several}" if found[name] else f"has no picture {name!r}"
            raise StudyError(where, problem, "one for every row",
                             "remove the row, or let name_column hold paths that tell them apart")  # fmt: skip
        (file,) = found[name]
        if rows.setdefault(file, row) != row:
            problem = f"{file} is the picture of row {rows[file] + 2} too"
            raise StudyError(where, problem, "each once: both splits may hold it otherwise", "remove one of the rows")
    for file, row in rows.items():
        yield _opened(read(file), f"{path}, row {row + 2} of the labels: {file}")


def _opened(content: bytes, where: str) -> Image.Image:
    """A picture in red, green and blue, or a grey one in floats; 0 to 255."""
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()  # Pillow decodes no pixel before
    # Pillow's decoders raise errors of many kinds on damaged pictures; a damaged archive says so itself.
    except (OSError, SyntaxError, ValueError) as error:
        raise StudyError(where, f"is no readable picture ({error})", "jpg, png or tif", "replace it") from error
    deep = picture.mode.startswith("I") or picture.mode == "F"
    picture = _rescaled(picture, where) if deep else picture.convert("RGB")
    bands = np.reshape(picture.getextrema(), (-1, 2))
    if (bands[:, 0] == bands[:, 1]).all():
        raise StudyError(where, "is the same everywhere", "a picture of something", "replace it, or remove the row")
    return picture


def _rescaled(picture: Image.Image, where: str) -> Image.Image:
    """A picture of 16 or 32 bits, of which Pillow would cut off what is above 255, from 0 to 255 by its own range."""
    pixels = np.asarray(picture, np.float64)
    if not np.isfinite(pixels).all():
        raise StudyError(where, "holds NaN or infinity", "finite pixels", "replace them, or remove the row")
    span = np.ptp(pixels) or 1.0
    return Image.fromarray(((pixels - pixels.min()) / span * 255).astype(np.float32))


def _found(files: Sequence[str], names: Iterable[str]) -> dict[str, list[str]]:
    """Files that each name may mean: their path ends with it; a name that is a whole path means that file alone."""
    ends: dict[str, list[str]] = {name: [] for name in names}
    whole: dict[str, list[str]] = {name: [] for name in ends}
    for file in sorted(files):
        parts = file.split("/") if file.lower().endswith(_SUFFIXES) else []
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            for name in {end, end.rsplit(".", 1)[0]} & ends.keys():
                (whole if start == 0 else ends)[name].append(file)
    return {name: whole[name] or ends[name] for name in ends}


def _resize(picture: Image.Image, crop: float) -> np.ndarray:
    """(3, 63, 63) float in [0, 1]: the central square, resized.

    ASSUME: red, green and blue take the places of science, template and difference; no sky is subtracted.
    """
    side = max(round(min(picture.size) * crop), 1)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    resized = np.asarray(square.resize((STAMP_SIZE, STAMP_SIZE), Image.Resampling.BICUBIC), np.float32)
    return np.broadcast_to(resized.clip(0, 255).T, (3, STAMP_SIZE, STAMP_SIZE)).transpose(0, 2, 1) / 255
