"""What is on disk: the only code that knows the layout of dataset.h5 and catalogue.h5.

/stamps      (N, 3, 63, 63) float16 or float32, contiguous, so that it can be memory-mapped at its offset: random
             batches are then as fast as from a bare array; h5py's fancy indexing and chunks are 100 times slower.
/metadata    (N, 25) float32, columns in the attribute `columns`.
/catalogue/  one array of length N per column; `candid` is int64 end to end.

Attributes hold the units, the normalisation, the channel names, the source and the SHA-256 of every input file.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import IO, TextIO

import h5py
import numpy as np
import pandas as pd

from .columns import CATALOGUE_COLUMNS, CHANNELS, METADATA_COLUMNS, STAMP_SIZE
from .errors import StudyError
from .files import atomic_path, end_on_sigterm, remove_leftovers
from .progress import Progress
from .sources import Chunk, Refusal
from .validation import check_chunk, check_unique, stamp_digests

FORMAT = "alertgrid-1"
STAMP_SHAPE = (len(CHANNELS), STAMP_SIZE, STAMP_SIZE)


def write_dataset(
    path: str | Path,
    refused_path: str | Path,
    chunks: Iterable[Chunk],
    *,
    source: str,
    dtype: str = "float16",
    inputs: Mapping[str, str] | None = None,
) -> int:
    """Write chunks of alerts into one dataset file, with memory bounded by one chunk and the catalogue.

    Parameters
    ----------
    path, refused_path : path
        dataset.h5, and the CSV that lists every alert not taken with its reason.
    chunks : iterable of Chunk
        Alerts in the order in which they are stored.
    source : str
        Name of the reader.
    dtype : {"float16", "float32"}
        Storage of the stamps. float16 keeps a unit-norm cutout to 3e-4 of its norm; the 1e-9 padding becomes 0.
    inputs : mapping of str to str
        File name -> SHA-256 of everything that was read.

    Returns
    -------
    int
        Number of alerts written.

    Raises
    ------
    StudyError
        A chunk breaks the data contract, a candid occurs twice, or nothing is left to write.
    """
    path, refused_path = Path(path), Path(refused_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path, refused_path)  # 20 GB each in a large study
    # The spool has no name, so that nothing of it remains after a kill.
    with end_on_sigterm(), tempfile.TemporaryFile(dir=path.parent) as spool, atomic_path(path) as temporary:
        with _refused_list(refused_path) as refused:
            tables = list(_spool_stamps(chunks, spool, np.dtype(dtype), refused))
        _check_taken(path, refused_path, tables, refused)
        columns = {name: _joined(name, [table[name] for table, _ in tables]) for name in tables[0][0]}
        check_unique(columns["candid"])
        with h5py.File(temporary, "w") as file:
            _write_attributes(file, source, inputs or {}, refused.count)
            _write_stamps(file, spool, len(columns["candid"]), np.dtype(dtype))
            _write_metadata(file, np.concatenate([rows for _, rows in tables]))
            _write_columns(file, columns)
    return len(columns["candid"])


class _Refused:
    """The alerts that were not taken, written as they are met: there may be millions."""

    def __init__(self, handle: TextIO):
        self.count, self.first = 0, ""
        names = [field.name for field in fields(Refusal)]
        self._values, self._writer = attrgetter(*names), csv.writer(handle, lineterminator="\n")
        self._writer.writerow(names)

    def extend(self, refusals: Sequence[Refusal]) -> None:
        """Write some more."""
        self._writer.writerows(map(self._values, refusals))
        self.first = self.first or (refusals[0].reason if refusals else "")
        self.count += len(refusals)


@contextlib.contextmanager
def _refused_list(path: Path) -> Iterator[_Refused]:
    """refused.csv, open for writing; it takes its place at the end."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        yield _Refused(handle)


def _check_taken(path: Path, refused_path: Path, tables: Sequence, refused: _Refused) -> None:
    """Refuse a dataset without alerts."""
    kept = refused_path.with_stem(f"all_{refused_path.stem}")
    kept.unlink(missing_ok=True)
    if not tables:
        # Under another name, since Snakemake removes the outputs of a rule that fails.
        shutil.copyfile(refused_path, kept)
        first = f", the first because: {refused.first}" if refused.count else ""
        problem = f"no alert was taken; {refused.count} refused{first}"
        raise StudyError(str(path), problem, "at least one", f"read the reasons in {kept} and mend the source")


def _joined(name: str, parts: list[np.ndarray]) -> np.ndarray:
    """One column from its parts.

    Raises
    ------
    StudyError
        Some hold words and others numbers, which NumPy would turn into words without a sound.
    """
    kinds = {part.dtype.kind == "S" for part in parts}
    if len(kinds) > 1:
        problem = "words in some chunks of the reader, numbers in others"
        raise StudyError(f"column {name}", problem, "one kind", "mend the reader, or leave it out of data.keep_columns")
    return np.concatenate(parts)


def _spool_stamps(
    chunks: Iterable[Chunk], spool: IO[bytes], dtype: np.dtype, refused: _Refused
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Append stamps to a bare file, since a contiguous HDF5 array needs its length beforehand; pass the columns on."""
    progress = Progress(0, "dataset")
    for chunk in chunks:
        refused.extend(chunk.refused)
        if not len(chunk.catalogue):
            continue
        check_chunk(chunk, STAMP_SHAPE)
        stored = np.ascontiguousarray(chunk.stamps, dtype=dtype)
        spool.write(stored.data)
        progress.step(len(stored), refused=refused.count)
        columns = {name: _as_stored(name, column) for name, column in chunk.catalogue.items()}
        yield columns | {"stamp_digest": stamp_digests(stored)}, chunk.metadata.astype(np.float32)
    spool.flush()


def _as_stored(name: str, column: pd.Series) -> np.ndarray:
    """A column as it lies on disk: text as UTF-8 bytes (a tenth of the memory of Python's), numbers as agreed."""
    kind = CATALOGUE_COLUMNS.get(name)
    if kind == "str" or (kind is None and not pd.api.types.is_numeric_dtype(column)):
        texts = column.astype(object).where(column.notna(), "").astype(str)
        return np.char.encode(texts.to_numpy(str), "utf-8")
    return column.to_numpy(kind)


def _write_attributes(file: h5py.File, source: str, inputs: Mapping[str, str], refused: int) -> None:
    """Say what the file is, where it came from and in which units."""
    file.attrs["format"] = FORMAT
    file.attrs["source"] = source
    file.attrs["inputs"] = json.dumps(dict(inputs))
    file.attrs["refused"] = refused
    file.attrs["units"] = "stamps: counts divided by the cutout's L2 norm; jd: days; magnitudes: AB; angles: degrees"


def _write_stamps(file: h5py.File, spool: IO[bytes], count: int, dtype: np.dtype, block: int = 1024) -> None:
    """Copy the spooled stamps into one contiguous array, block by block."""
    stamps = file.create_dataset("stamps", (count, *STAMP_SHAPE), dtype)
    stamps.attrs["channels"] = list(CHANNELS)
    stamps.attrs["normalisation"] = "l2 per cutout"
    stamps.attrs["pixel_scale_arcsec"] = 1.01
    spooled = np.memmap(spool, dtype, "r", shape=(count, *STAMP_SHAPE))
    for start in range(0, count, block):
        stamps[start : start + block] = spooled[start : start + block]


def _write_metadata(file: h5py.File, metadata: np.ndarray) -> None:
    """Store the metadata with the names of its columns."""
    file.create_dataset("metadata", data=metadata).attrs["columns"] = list(METADATA_COLUMNS)


def _write_columns(file: h5py.File, columns: Mapping[str, np.ndarray]) -> None:
    """Store one array per column."""
    group = file.create_group("catalogue", track_order=True)
    for name, values in columns.items():
        group.create_dataset(name, data=values)


def write_catalogue(
    path: str | Path, catalogue: pd.DataFrame, attributes: Mapping[str, str | int] | None = None
) -> None:
    """Write a catalogue without stamps or metadata: what a report needs."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        for name, value in (attributes or {}).items():
            file.attrs[name] = value
        _write_columns(file, {name: _as_stored(name, column) for name, column in catalogue.items()})


def _open(path: str | Path) -> h5py.File:
    """Open a file of ours, or say what is wrong with it."""
    expected, remedy = "a dataset or catalogue written by this study", "delete it and start the study again"
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise StudyError(str(path), "there is no such file", expected, "check the path") from None
    except OSError as error:
        raise StudyError(str(path), f"cannot be read as HDF5 ({error})", expected, remedy) from None
    if file.attrs.get("format") != FORMAT:
        found = file.attrs.get("format")
        file.close()
        raise StudyError(str(path), f"format is {found!r}", f"{FORMAT!r}", remedy)
    return file


def read_catalogue(path: str | Path, only: Collection[str] | None = None) -> pd.DataFrame:
    """Read the catalogue columns, or `only` some, of dataset.h5 or catalogue.h5, one row per alert; never the stamps.

    Raises
    ------
    StudyError
        The file is missing, damaged or of another format.
    """
    with _open(path) as file:
        columns = {name: column[()] for name, column in file["catalogue"].items() if only is None or name in only}
    return pd.DataFrame(
        {
            name: np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
            for name, values in columns.items()
        }
    )


def read_attributes(path: str | Path) -> dict[str, object]:
    """Read the attributes of the file: format, source, inputs (JSON text), refused, units."""
    with _open(path) as file:
        return dict(file.attrs)


def read_metadata(path: str | Path) -> np.ndarray:
    """Read the metadata, (N, 25) float32 in the order of `columns.METADATA_COLUMNS`."""
    with _open(path) as file:
        return file["metadata"][()]


def open_stamps(path: str | Path) -> np.memmap:
    """Memory-map the stamps read-only, (N, 3, 63, 63), without reading them.

    Raises
    ------
    StudyError
        The file is shorter than its own header says (a copy that was cut off).
    """
    with _open(path) as file:
        stamps = file["stamps"]
        offset, shape, dtype = stamps.id.get_offset(), stamps.shape, stamps.dtype
    needed = offset + int(np.prod(shape)) * dtype.itemsize
    if Path(path).stat().st_size < needed:
        raise StudyError(str(path), "the file is truncated", f"{needed} bytes", "copy it again or delete it and rerun")
    return np.memmap(path, dtype, "r", offset=offset, shape=shape)
