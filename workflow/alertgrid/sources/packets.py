"""ZTF alert packets: Avro files -> records, and the parts of a record that the study uses.

Source: ZTF alert schema (versions 1.7 to 4.02; https://github.com/ZwickyTransientFacility/ztf-avro-alert). A packet is
known as ZTF's by its object name and by its layout, since brokers re-publish packets under their own name.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import METADATA_COLUMNS
from ..history import DERIVED
from .candidates import POSITIVE

OBJECT_NAME = re.compile(r"ZTF\d{2}[a-z]{7}")
CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
RAW_COLUMNS = tuple(name for name in METADATA_COLUMNS if name not in (*DERIVED, "new_drb"))
HISTORY_COLUMNS = ("jd", "magpsf", "jdstarthist", "ndethist", "ncovhist")
NEEDED_COLUMNS = tuple(dict.fromkeys((*RAW_COLUMNS, *HISTORY_COLUMNS, "fid")))


class Unreadable(Exception):
    """A packet or file that cannot be used; its text is the reason."""


def records(path: Path) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
    """Yield the number (from 0) and content of each record; a broken file ends with what is wrong with it."""
    import fastavro  # not above, for Snakemake asks for the files to read and may have an environment without it

    number = 0
    try:
        with open(path, "rb") as handle:
            for record in fastavro.reader(handle):
                yield number, record
                number += 1
    # A damaged file can fail anywhere in the decoder or in its compression library, each with an error of its own.
    except Exception as error:
        yield number, Unreadable(f"file is broken from record {number} on: {type(error).__name__}: {error}")


def check_survey(record: Mapping[str, Any]) -> None:
    """Tell ZTF alerts from others.

    Raises
    ------
    Unreadable
        The packet is another survey's.
    """
    candidate = record.get("candidate")
    layout = isinstance(candidate, Mapping) and all(isinstance(record.get(name), Mapping) for name in CUTOUTS)
    if not layout or not OBJECT_NAME.fullmatch(object_name(record)) or not isinstance(candid_of(record), int):
        raise Unreadable(f"not a ZTF alert: publisher {record.get('publisher')!r}, objectId {object_name(record)!r}")


def check_values(record: Mapping[str, Any]) -> None:
    """Refuse a packet that lacks a value the study needs.

    Raises
    ------
    Unreadable
        Names the columns.
    """
    candidate = record["candidate"]
    missing = [column for column in NEEDED_COLUMNS if not _is_finite(candidate.get(column))]
    if missing:
        raise Unreadable(f"no value of {', '.join(missing)} in the packet")
    if str(candidate.get("isdiffpos")) not in POSITIVE:
        raise Unreadable(f"isdiffpos is {candidate.get('isdiffpos')!r}")


def _is_finite(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and bool(np.isfinite(value))


def kind_of(value: Any) -> int:
    """Position in `candidates.KINDS` of the narrowest type that holds a value; a missing one needs a float's NaN."""
    if value is None or isinstance(value, float):
        return 1
    return 0 if isinstance(value, int) else 2


def object_name(record: Mapping[str, Any]) -> str:
    """Name of the object, "" where the packet has none."""
    return str(record.get("objectId") or record.get("objectid") or "")


def candid_of(record: Mapping[str, Any]) -> Any:
    """Number of the alert; some brokers keep it in the inner record only."""
    candidate = record.get("candidate")
    inner = candidate.get("candid") if isinstance(candidate, Mapping) else None
    return inner if record.get("candid") is None else record["candid"]


def detections(record: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Time and magnitude of the alert and of the earlier detections it carries; upper limits have no magnitude."""
    for candidate in (record["candidate"], *(record.get("prv_candidates") or ())):
        if _is_finite(candidate.get("magpsf")) and _is_finite(candidate.get("jd")):
            yield candidate["jd"], candidate["magpsf"]


def real_bogus(candidate: Mapping[str, Any], names: tuple[str, ...]) -> tuple[float, str]:
    """First real-bogus score of a packet by the order of `names`, and its name.

    Raises
    ------
    Unreadable
        The packet has none of them.
    """
    for name in names:
        # Brokers fill the score that packets lack before schema 3.3 with 0 and leave its version empty.
        absent = name == "drb" and not candidate.get("drbversion")
        if _is_finite(candidate.get(name)) and not absent:
            return float(candidate[name]), name
    raise Unreadable(f"none of the scores {', '.join(names)} in the packet")


def cutouts_of(record: Mapping[str, Any]) -> list[np.ndarray]:
    """Decode science, template and difference, each a 2-D array with NaN in masked pixels.

    Raises
    ------
    Unreadable
        A cutout is no gzipped FITS image.
    """
    return [_decode(record[name], name) for name in CUTOUTS]


def _decode(cutout: Mapping[str, Any], name: str) -> np.ndarray:
    """Unpack one gzipped FITS image."""
    from astropy.io import fits  # not above, as in `records`
    from astropy.io.fits.verify import VerifyWarning

    try:
        content = io.BytesIO(gzip.decompress(cutout["stampData"]))
        # Some brokers' headers are not to the letter of the standard, and astropy says so at every cutout.
        with warnings.catch_warnings(action="ignore", category=VerifyWarning), fits.open(content) as images:
            return np.array(images[0].data, np.float64)
    # gzip, zlib and astropy raise errors of many kinds on damaged bytes.
    except Exception as error:
        raise Unreadable(f"{name} cannot be decoded: {type(error).__name__}: {error}") from None
