"""Alerts in BTSbot's published format: `{split}_cand{suffix}.csv` and `{split}_triplets{suffix}.npy`, same row order.

Source: BTSbot 2.0.7 (arXiv 2401.15167) and its data on Zenodo (10.5281/zenodo.10839690). Everything that can be wrong
with the tables, and the headers of the arrays, is looked at before the first stamp is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..columns import METADATA_COLUMNS, SPLITS
from ..errors import StudyError
from . import Chunk, Refusal
from .candidates import POSITIVE, Table, as_kind, kind_of
from .folders import check_folder
from .triplets import open_triplets, read_triplets, row_of

BLOCK = 1024  # alerts in memory at a time: 100 MB of float64 stamps
SCAN = 20_000  # rows of a table in memory while it is checked


@dataclass(frozen=True)
class Settings:
    """What to read and how.

    Attributes
    ----------
    folder : str
        Folder of the files.
    catalogue, stamps : str
        Names of the files of a split; `{split}` and `{suffix}` are filled in. Without `{split}` there is one file.
    version : str
        Version in the file names, such as v10; the suffix is then `_{version}{cuts}`.
    cuts : str or mapping of split to str
        Cuts in the file names.
    splits : sequence of str
        Splits to read, in this order.
    candid : {"file", "row"}
        Alert numbers as in the file, or numbered by row over all files (for files in which they were rounded).
    label_column, source_set_column : str
        Columns of the label (0 or 1) and of the source set (trues, dims, vars, rejects); without the latter it follows
        from the label.
    keep_columns : sequence of str
        Further columns to keep in the dataset's catalogue.
    select : mapping of column to list of values
        Only rows with one of these values are taken; the others are listed as not selected.
    apply_cuts : bool
        Take only alerts that pass BTSbot's cuts (see `cuts`); the published files hold no others.
    normalise : bool
        Divide the cutouts by their L2 norm (the published ones are).
    """

    folder: str
    catalogue: str = "{split}_cand{suffix}.csv"
    stamps: str = "{split}_triplets{suffix}.npy"
    version: str = ""
    cuts: str | Mapping[str, str] = ""
    splits: tuple[str, ...] = SPLITS
    candid: str = "file"
    label_column: str = "label"
    source_set_column: str = "source_set"
    keep_columns: tuple[str, ...] = ()
    select: Mapping[str, list] = field(default_factory=dict)
    apply_cuts: bool = False
    normalise: bool = False

    def path(self, pattern: str, split: str) -> Path:
        """File of a split."""
        cuts = self.cuts if isinstance(self.cuts, str) else self.cuts.get(split, "")
        suffix = f"_{self.version}{cuts}" if self.version else cuts
        return Path(self.folder) / pattern.format(split=split, suffix=suffix)

    def parts(self) -> list[Part]:
        """The pairs of files to read; a pattern without `{split}` means one pair whose alerts have no split yet."""
        splits = self.splits if "{split}" in self.catalogue else ("",)
        names = ("candid", "label_column", "source_set_column", "select", "apply_cuts")
        options = {name: getattr(self, name) for name in names} | {"keep_columns": tuple(self.keep_columns)}
        return [
            Part(split, Table(self.path(self.catalogue, split), **options), self.path(self.stamps, split))
            for split in splits
        ]


@dataclass(frozen=True)
class Part:
    """The two files of a split."""

    split: str
    table: Table
    stamps: Path


def inputs(**settings) -> list[Path]:
    """Files that `read` opens, in order."""
    return [path for part in Settings(**settings).parts() for path in (part.table.path, part.stamps)]


def read(**settings) -> Iterator[Chunk]:
    """Check all files, then yield their alerts in bounded blocks.

    Parameters
    ----------
    **settings
        Fields of `Settings`.

    Raises
    ------
    StudyError
        A file is missing, truncated or no array or table; columns are missing; the two files of a split differ in their
        number of rows; an alert number occurs twice or is rounded; an object has two labels; a label, number or stamp
        is not usable.
    """
    chosen = Settings(**settings)
    check_folder(chosen.folder)
    parts = chosen.parts()
    for part in parts:
        part.table.columns()
        open_triplets(part.stamps)
    return _chunks(parts, _check_tables(parts), chosen.normalise)


@dataclass
class _Known:
    """What one reading of all tables tells: rows of each, kinds of kept columns, peak magnitudes by objectId."""

    counts: list[int] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    peaks: pd.Series | None = None


def _check_tables(parts: list[Part]) -> _Known:
    """Read all tables once."""
    known, candids, places, peaks, labels = _Known(), [], [], [], []
    for part in parts:
        first, count = sum(known.counts), 0
        for block in part.table.blocks(SCAN):
            taken = block[part.table.reasons(block) == ""]
            part.table.check(taken)
            for name in part.table.keep_columns:
                known.kinds[name] = max(known.kinds.get(name, 0), kind_of(block[name]))
            candids.append(part.table.candids(taken, first))
            places.append(taken.index.to_numpy() + first)
            told = pd.DataFrame({"objectId": taken["objectId"], "label": taken[part.table.label_column]})
            labels.append(told.assign(place=places[-1]).drop_duplicates(["objectId", "label"]))
            if part.table.apply_cuts:
                peaks.append(block.groupby("objectId")["magpsf"].min())
            count += len(block)
        _check_length(part, count)
        known.counts.append(count)
    _check_unique(parts, known.counts, np.concatenate(candids), np.concatenate(places))
    _check_labels(parts, known.counts, pd.concat(labels).drop_duplicates(["objectId", "label"]))
    known.peaks = pd.concat(peaks).groupby(level=0).min() if peaks else None
    return known


def _check_length(part: Part, count: int) -> None:
    """Refuse a table and an array of different lengths."""
    stamps = len(open_triplets(part.stamps))
    if stamps != count:
        raise StudyError(
            f"{part.table.path} and {part.stamps.name}",
            f"{count} rows in the table, {stamps} in the array",
            "the same number: row i of the table describes stamp i",
            "take both files from the same version and cuts, or download them again",
        )


def _check_unique(parts: list[Part], counts: list[int], candids: np.ndarray, places: np.ndarray) -> None:
    """Refuse an alert number that occurs twice, naming both rows."""
    order = np.argsort(candids, kind="stable")
    repeated = np.flatnonzero(np.diff(candids[order]) == 0)
    if not len(repeated):
        return
    raise StudyError(
        _rows_at(parts, counts, places[order[repeated[0] : repeated[0] + 2]]),
        f"candid {candids[order[repeated[0]]]} occurs more than once ({len(repeated)} repeated in all)",
        "each alert once",
        "remove the repeated rows from the table and the array",
    )


def _check_labels(parts: list[Part], counts: list[int], labels: pd.DataFrame) -> None:
    """Refuse an object with two labels, naming a row of each; `labels` has each label of an object once."""
    twice = labels[labels["objectId"].duplicated(keep=False)]
    if len(twice):
        name = twice["objectId"].iloc[0]
        raise StudyError(
            _rows_at(parts, counts, twice.loc[twice["objectId"] == name, "place"].to_numpy()),
            f"{name} has label 0 and label 1 ({twice['objectId'].nunique()} such objects in all)",
            "one label for each object",
            "correct one of them, or leave rows out by data.select",
        )


def _rows_at(parts: list[Part], counts: list[int], places: np.ndarray) -> str:
    """Name rows that are counted over all tables."""
    ends = np.cumsum(counts)
    rows = []
    for place in places:
        number = int(np.searchsorted(ends, place, side="right"))
        rows.append(row_of(parts[number].table.path, int(place - (ends[number] - counts[number]))))
    return " and ".join(rows)


def _chunks(parts: list[Part], known: _Known, normalise: bool) -> Iterator[Chunk]:
    """Yield the alerts of all parts."""
    first = 0
    for part, count in zip(parts, known.counts, strict=True):
        for block in part.table.blocks(BLOCK):
            yield _chunk(part, block, first, known, normalise)
        first += count


def _chunk(part: Part, block: pd.DataFrame, first: int, known: _Known, normalise: bool) -> Chunk:
    """Turn a block of rows and their stamps into a chunk."""
    reasons = part.table.reasons(block, known.peaks)
    taken = reasons.index[reasons == ""].to_numpy()
    stamps, blank = read_triplets(part.stamps, taken, normalise)
    reasons[taken[blank]] = "a cutout is all zero"
    rows = block.loc[taken[~blank]]
    return Chunk(
        catalogue=_catalogue(part, rows, first, known.kinds),
        metadata=rows[list(METADATA_COLUMNS)].to_numpy(np.float32),
        stamps=stamps[~blank],
        refused=_refusals(part, block, reasons[reasons != ""]),
    )


def _catalogue(part: Part, rows: pd.DataFrame, first: int, kinds: dict[str, int]) -> pd.DataFrame:
    """Columns of the data contract, then the kept ones."""
    columns = {
        "candid": part.table.candids(rows, first),
        "objectId": rows["objectId"],
        "jd": rows["jd"],
        "fid": rows["fid"].astype(np.int64),
        "magpsf": rows["magpsf"],
        "isdiffpos": rows["isdiffpos"].map(POSITIVE),
        "ra": rows["ra"],
        "dec": rows["dec"],
        "label": rows[part.table.label_column].astype(np.int64),
        "source_set": part.table.source_sets(rows),
        "split": part.split,
    }
    kept = {name: as_kind(rows[name], kind) for name, kind in kinds.items() if name not in columns}
    return pd.DataFrame(columns | kept, index=rows.index).reset_index(drop=True)


def _refusals(part: Part, block: pd.DataFrame, reasons: pd.Series) -> list[Refusal]:
    """List the rows that were not taken."""
    rows = block.loc[reasons.index]
    return [
        Refusal(part.table.path.name, int(row), str(candid), str(name), reason)
        for row, candid, name, reason in zip(rows.index, rows["candid"], rows["objectId"], reasons, strict=True)
    ]
