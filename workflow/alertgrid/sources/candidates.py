"""The tables of the published format: one CSV per split, row i belonging to stamp i, read in blocks and checked.

A block is read with every number as float64 except `candid`, whose 19 digits only an int64 can hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..columns import BANDS, METADATA_COLUMNS, SOURCE_SETS
from ..errors import StudyError
from .cuts import cut_reasons
from .triplets import row_of

TEXT_COLUMNS = ("candid", "objectId", "isdiffpos")
NUMBER_COLUMNS = ("jd", "fid", *METADATA_COLUMNS)
POSITIVE = {"t": "t", "1": "t", "True": "t", "true": "t", "f": "f", "0": "f", "False": "f", "false": "f"}
KINDS = ("int64", "float64", "str")  # of a kept column, from narrow to wide


@dataclass(frozen=True)
class Table:
    """One CSV and how to read it; the fields are the reader's settings of the same names."""

    path: Path
    candid: str = "file"
    label_column: str = "label"
    source_set_column: str = "source_set"
    keep_columns: tuple[str, ...] = ()
    select: Mapping[str, list] = field(default_factory=dict)
    apply_cuts: bool = False

    def header(self) -> list[str]:
        """Names of all columns of the file."""
        return list(next(_parse(self.path, nrows=1, chunksize=1, dtype="str"), pd.DataFrame()).columns)

    def columns(self) -> list[str]:
        """Columns to read, each once.

        Raises
        ------
        StudyError
            Names the columns that the file lacks.
        """
        wanted = [*TEXT_COLUMNS, *NUMBER_COLUMNS, self.label_column, *self.keep_columns, *self.select]
        header = self.header()
        missing = [name for name in dict.fromkeys(wanted) if name not in header]
        if missing:
            remedy = "add them, or correct data.label_column, data.keep_columns or data.select"
            raise StudyError(str(self.path), f"columns missing: {', '.join(missing)}", "all columns read", remedy)
        optional = [self.source_set_column] if self.source_set_column in header else []
        return list(dict.fromkeys([*wanted, *optional]))

    def blocks(self, rows: int) -> Iterator[pd.DataFrame]:
        """Yield the table in blocks of `rows` rows; the index is the row number, from 0.

        Raises
        ------
        StudyError
            The file is no CSV, or text stands where a number belongs; names the row.
        """
        columns, numbers = self.columns(), {*NUMBER_COLUMNS, self.label_column}
        types = {name: "float64" if name in numbers else "str" for name in columns}
        types["jd"] = "str"  # pandas' fast parser may miss the last bit; Python's does not
        try:
            for block in _parse(self.path, usecols=columns, dtype=types, chunksize=rows):
                yield block.assign(jd=block["jd"].astype("float64"), objectId=block["objectId"].str.strip())
        except ValueError:
            _find_text(self.path, numbers, rows)
            raise

    def reasons(self, block: pd.DataFrame, peaks: pd.Series | None = None) -> pd.Series:
        """Why each row is not taken, "" where it is; `peaks` holds the brightest magnitude by objectId, once known."""
        reasons = pd.Series("", index=block.index)
        for name, allowed in self.select.items():
            _mark(reasons, ~_is_one_of(block[name], allowed), f"not selected: {name} = " + block[name].astype(str))
        if self.apply_cuts:
            known = {"isdiffpos": block["isdiffpos"].map(POSITIVE).fillna(block["isdiffpos"])}
            known |= {"source_set": self.source_sets(block)}
            known |= {"peakmag": np.nan if peaks is None else block["objectId"].map(peaks)}
            cut = cut_reasons(block.assign(**known))
            _mark(reasons, cut != "", cut)
        return reasons

    def check(self, block: pd.DataFrame) -> None:
        """Refuse rows that the study cannot use.

        Raises
        ------
        StudyError
            Names the row and the column.
        """
        for name in dict.fromkeys([*NUMBER_COLUMNS, self.label_column]):
            self._demand(block, name, np.isfinite(block[name]), "a finite number")
        self._demand(block, self.label_column, block[self.label_column].isin([0, 1]), "0 or 1")
        self._demand(block, "objectId", block["objectId"].notna() & block["objectId"].ne(""), "a name")
        self._demand(block, "isdiffpos", block["isdiffpos"].isin(POSITIVE), "t or f (also 1 or 0)")
        self._demand(block, "fid", block["fid"].isin(BANDS), "1 (g), 2 (r) or 3 (i)")
        if self.candid == "file":
            whole = block["candid"].str.fullmatch(r"\d{1,18}|[0-8]\d{18}").eq(True)
            self._demand(block, "candid", whole, "a whole number in all its digits", _CANDID)
        if self.source_set_column in block:
            known = block[self.source_set_column].isin(SOURCE_SETS)
            self._demand(block, self.source_set_column, known, f"one of {', '.join(SOURCE_SETS)}")

    def _demand(self, block: pd.DataFrame, name: str, good: pd.Series, expected: str, remedy: str = "") -> None:
        """Refuse the first row that is not good."""
        if not good.all():
            row = block.index[~good][0]
            remedy = remedy or "correct or remove the row (from the CSV and the npy), or leave it out by data.select"
            raise StudyError(row_of(self.path, row), f"{name} is {block.loc[row, name]}", expected, remedy)

    def source_sets(self, block: pd.DataFrame) -> pd.Series:
        """Source set of each row, by its column or, where the file has none, by its label."""
        if self.source_set_column in block:
            return block[self.source_set_column]
        # ASSUME: without the column every negative counts as a reject, so splits are stratified by label alone.
        return block[self.label_column].map({1: "trues", 0: "rejects"})

    def candids(self, block: pd.DataFrame, first: int) -> np.ndarray:
        """Alert numbers, (n,) int64: as in the file, or the row number plus `first` where the file has lost them."""
        if self.candid == "row":
            return block.index.to_numpy(np.int64) + first
        return block["candid"].astype(np.int64).to_numpy()


_CANDID = (
    "restore the numbers from the original file (a spreadsheet rounds them), or set data.candid to 'row' to number "
    "the alerts by row"
)


def _parse(path: Path, **options) -> Iterator[pd.DataFrame]:
    """Let pandas read the CSV in blocks; its complaints about the file's form become ours."""
    try:
        with pd.read_csv(path, **options) as blocks:
            for block in blocks:
                _check_form(path, block)
                yield block
    except FileNotFoundError:
        remedy = "correct data.folder, data.catalogue, data.version, data.cuts or data.splits"
        raise StudyError(str(path), "there is no such file", "the table of a split", remedy) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise StudyError(str(path), f"cannot be read ({error})", "a CSV file with a header", "copy it again") from None


def _check_form(path: Path, block: pd.DataFrame) -> None:
    """Refuse names that no commas part, and rows with more values than names: pandas would number rows by the first."""
    other = re.search(r"[;|\t]", block.columns[0]) if len(block.columns) == 1 else None
    if other:
        problem, remedy = f"its header is parted by {other[0]!r}", "write it with commas, and decimal points"
        raise StudyError(str(path), problem, "a comma between names, and between values", remedy)
    if not isinstance(block.index, pd.RangeIndex):
        surplus = block.index.nlevels
        problem = f"the row has {surplus} more value{'s' * (surplus > 1)} than the header"
        remedy = "name every column (R: col.names=NA, pandas: index=False), or remove the comma at the end of rows"
        raise StudyError(row_of(path, 0), problem, "one value for each name of the header", remedy)


def _find_text(path: Path, numbers: set[str], rows: int) -> None:
    """Name the first row with text where a number belongs."""
    for block in _parse(path, usecols=sorted(numbers), dtype="str", chunksize=rows):
        for name in block:
            text = pd.to_numeric(block[name], errors="coerce").isna() & block[name].notna()
            if text.any():
                row = block.index[text][0]
                raise StudyError(
                    row_of(path, row), f"{name} is {block.loc[row, name]!r}", "a number", "correct the row"
                ) from None


def _is_one_of(column: pd.Series, allowed: list) -> pd.Series:
    """Compare as text, and as numbers where both sides are (the file may say 1.0 where the setting says 1)."""
    numbers = [float(value) for value in allowed if isinstance(value, int | float)]
    as_numbers = pd.to_numeric(column, errors="coerce").isin(numbers)
    return as_numbers | column.astype(str).isin([str(value) for value in allowed])


def _mark(reasons: pd.Series, where: pd.Series, reason: str | pd.Series) -> None:
    """Write a reason where there is none yet."""
    fresh = where & (reasons == "")
    reasons[fresh] = reason[fresh] if isinstance(reason, pd.Series) else reason


def kind_of(column: pd.Series) -> int:
    """Position in `KINDS` of the narrowest type that holds a column of text."""
    if column.dtype.kind == "f":
        return 1
    known = column.dropna()
    if len(known) == len(column) and known.str.fullmatch(r"-?\d{1,18}").all():
        return 0
    return 1 if pd.to_numeric(known, errors="coerce").notna().all() else 2


def as_kind(column: pd.Series, kind: int) -> pd.Series:
    """A kept column as the type of this position in `KINDS`; missing text is empty, a missing number NaN."""
    return column.astype(KINDS[kind]).where(column.notna(), "") if KINDS[kind] == "str" else column.astype(KINDS[kind])
