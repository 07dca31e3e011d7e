"""Alerts from a folder of ZTF packets and a table of labels by object.

The folder is read twice: once for the light curves, since the history columns of an alert need every packet of its
object, and once for the cutouts, a few hundred alerts at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..columns import CATALOGUE_COLUMNS, CHANNELS, METADATA_COLUMNS, STAMP_SIZE
from ..errors import StudyError
from ..history import derive_history
from ..progress import Progress, announce
from ..stamps import preprocess_alert, refusal_reason
from . import Chunk, Refusal, packets
from .candidates import POSITIVE, as_kind
from .curves import LightCurves
from .cuts import CUT_COLUMNS, cut_reasons
from .folders import check_folder, files_below
from .labels import read_detections, read_labels
from .packets import HISTORY_COLUMNS, RAW_COLUMNS, Unreadable

BLOCK = 256  # alerts in memory at a time
NAMED = 10  # objects named in a line of the log
PENDING = 500_000  # detections held before repeated ones are dropped


@dataclass(frozen=True)
class Settings:
    """What to read and how.

    Attributes
    ----------
    folder : str
        Folder of the packets, searched with its sub-folders for `*.avro`.
    labels : str
        CSV with objectId and label, optionally source_set and split.
    history : str
        CSV of further detections (objectId, jd, magpsf) that count for the history columns; "" for none.
    real_bogus : sequence of str
        Packet scores that stand in for `new_drb` (which only a rerun of braai gives), in order of preference.
    keep_columns : sequence of str
        Columns of the packets to keep in the dataset's catalogue.
    apply_cuts : bool
        Take only alerts that pass BTSbot's cuts (see `cuts`). All detections count for the history columns.
    """

    folder: str
    labels: str
    history: str = ""
    # ASSUME: where a packet has no deep-learning score (before 2019), the older `rb`, also 0 to 1, is near enough.
    real_bogus: tuple[str, ...] = ("drb", "rb")
    keep_columns: tuple[str, ...] = ()
    apply_cuts: bool = True


def inputs(**settings) -> list[Path]:
    """Files that `read` opens: the tables, then the packets."""
    chosen = Settings(**settings)
    tables = [Path(path) for path in (chosen.labels, chosen.history) if path]
    return tables + files_below(chosen.folder, ".avro")


def read(**settings) -> Iterator[Chunk]:
    """Collect the light curves of the folder, then yield its labelled alerts in bounded blocks.

    Packets of other surveys, broken files, alerts without a label, without a needed value or with unusable cutouts, and
    repeated alerts are listed as refused; the rest goes on.

    Parameters
    ----------
    **settings
        Fields of `Settings`.

    Raises
    ------
    StudyError
        The folder is missing or without packets, a table is not usable, or a kept column occurs in no packet.
    """
    chosen = Settings(**settings)
    check_folder(chosen.folder)
    files = files_below(chosen.folder, ".avro")
    if not files:
        raise StudyError(f"data.folder, {chosen.folder}", "no alert packets", "files *.avro", "correct data.folder")
    labels = read_labels(chosen.labels)
    extra = [read_detections(chosen.history)] if chosen.history else []
    return _chunks(chosen, files, labels, extra)


@dataclass
class _Survey:
    """What the first pass found."""

    curves: LightCurves = field(default_factory=LightCurves)
    alerts: list[tuple] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    kinds: dict[str, int] = field(default_factory=dict)  # of kept columns, see `candidates.KINDS`
    candids: set[int] = field(default_factory=set)


def _chunks(chosen: Settings, files: list[Path], labels: pd.DataFrame, extra: list[pd.DataFrame]) -> Iterator[Chunk]:
    """Both passes, block by block; what the first one refuses comes first."""
    survey = _Survey()
    rows = chain(_survey(survey, chosen, files, labels), _rows(survey, chosen, files, labels, extra))
    while block := list(islice(rows, BLOCK)):
        good = [row for row in block if not isinstance(row, Refusal)]
        yield _chunk(good, [row for row in block if isinstance(row, Refusal)], survey.kinds)


def _survey(survey: _Survey, chosen: Settings, files: list[Path], labels: pd.DataFrame) -> Iterator[Refusal]:
    """First pass: light curves, and which records are taken; yields the others."""
    progress, full, refused = Progress(0, "light curves"), PENDING, 0
    for index, path in enumerate(files):
        for number, record in packets.records(path):
            try:
                _enlist(survey, record, labels, chosen)
                survey.alerts.append((index, number, packets.object_name(record), *_needed(record["candidate"])))
            except Unreadable as reason:
                refused += 1
                yield _refusal(chosen, path, number, record, reason)
            progress.step(1, refused=refused)
        if len(survey.curves.rows) > 3 * full:
            survey.curves.compact()
            full = max(PENDING, 2 * len(survey.curves.rows) // 3)


def _enlist(survey: _Survey, record: Any, labels: pd.DataFrame, chosen: Settings) -> None:
    """Count the detections of a record; raise `Unreadable` where its alert cannot be taken."""
    if isinstance(record, Unreadable):
        raise record
    packets.check_survey(record)
    name, candid = packets.object_name(record), packets.candid_of(record)
    if name not in labels.index:
        raise Unreadable(f"object {name} has no label")
    survey.curves.add(name, packets.detections(record))
    packets.check_values(record)
    packets.real_bogus(record["candidate"], chosen.real_bogus)
    if candid in survey.candids:
        raise Unreadable(f"candid {candid} occurs more than once; the first one is taken")
    survey.candids.add(candid)
    survey.columns.update(record["candidate"])
    for column in chosen.keep_columns:
        kind = packets.kind_of(record["candidate"].get(column))
        survey.kinds[column] = max(survey.kinds.get(column, 0), kind)


def _needed(candidate: Mapping[str, Any]) -> list[str | float]:
    """Values of the first pass: of the cuts, and of the history."""
    sign, *numbers = (candidate[name] for name in (*CUT_COLUMNS, *HISTORY_COLUMNS))
    return [POSITIVE[str(sign)], *map(float, numbers)]


def _refusal(chosen: Settings, path: Path, number: int, record: Any, reason: Unreadable | str) -> Refusal:
    """Say where an alert stood and why it is not taken."""
    known = record if isinstance(record, Mapping) else {}
    candid = packets.candid_of(known)
    return Refusal(
        path.relative_to(chosen.folder).as_posix(),
        number,
        "" if candid is None else str(candid),
        packets.object_name(known),
        str(reason),
    )


def _tell_missing(survey: _Survey, labels: pd.DataFrame) -> None:
    """Write into the log which labelled objects have no packet."""
    missing = [name for name in labels.index if name not in survey.curves.codes]
    if missing:
        first = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        announce(f"{len(missing)} of {len(labels)} labelled objects have no alert packet: {first}")


def _histories(survey: _Survey, chosen: Settings, labels: pd.DataFrame, extra: list[pd.DataFrame]) -> pd.DataFrame:
    """The alerts enlisted, one row each, with their history columns and why the cuts remove them ("" if not)."""
    unknown = [name for name in chosen.keep_columns if name not in survey.columns]
    if unknown and survey.alerts:
        raise StudyError(
            "data.keep_columns", f"{', '.join(unknown)} in no packet", "columns of `candidate`", "correct it"
        )
    alerts = pd.DataFrame(survey.alerts, columns=["file", "number", "objectId", *CUT_COLUMNS, *HISTORY_COLUMNS])
    numbers = (*CUT_COLUMNS[1:], *HISTORY_COLUMNS)
    alerts = alerts.astype(dict.fromkeys(numbers, "float64"))  # where there is none, pandas takes it for text
    detections = pd.concat([survey.curves.table(), *extra])
    # ASSUME: what the cuts remove counts for the history columns of the rest, as for ZTF's own counts (ndethist).
    return alerts.join(derive_history(alerts, detections)).assign(
        cut=_cuts(alerts, labels, detections) if chosen.apply_cuts else ""
    )


def _cuts(alerts: pd.DataFrame, labels: pd.DataFrame, detections: pd.DataFrame) -> pd.Series:
    """Why the cuts remove each alert."""
    peaks = detections.groupby("objectId")["magpsf"].min()
    source = alerts["objectId"]
    return cut_reasons(alerts.assign(source_set=source.map(labels["source_set"]), peakmag=source.map(peaks)))


def _rows(
    survey: _Survey, chosen: Settings, files: list[Path], labels: pd.DataFrame, extra: list[pd.DataFrame]
) -> Iterator[tuple[dict, list[float], np.ndarray] | Refusal]:
    """Second pass: catalogue entries, metadata and stamps of the alerts taken, or why their cutouts are unusable."""
    _tell_missing(survey, labels)
    alerts = _histories(survey, chosen, labels, extra)
    for index, group in alerts.groupby("file", sort=True):
        wanted = {alert.number: alert for alert in group.itertuples()}
        for number, record in packets.records(files[index]):
            if number not in wanted:
                continue
            try:
                stamps = _stamps(record, wanted[number].cut)
            except Unreadable as reason:
                yield _refusal(chosen, files[index], number, record, reason)
                continue
            entry, values = _values(record, wanted[number], labels.loc[wanted[number].objectId], chosen)
            yield entry, values, stamps


def _stamps(record: Mapping[str, Any], cut: str) -> np.ndarray:
    """Cutouts of a packet as stamps, (3, 63, 63); raises `Unreadable` where it is cut or they are of no use."""
    if cut:
        raise Unreadable(cut)
    cutouts = packets.cutouts_of(record)
    reason = refusal_reason(cutouts)
    if reason:
        raise Unreadable(reason)
    return preprocess_alert(cutouts)


def _values(
    record: Mapping[str, Any], alert: Any, label: pd.Series, chosen: Settings
) -> tuple[dict[str, Any], list[float]]:
    """Catalogue entry and the 25 metadata values of one alert."""
    candidate = record["candidate"]
    score, score_name = packets.real_bogus(candidate, chosen.real_bogus)
    known = {name: candidate[name] for name in RAW_COLUMNS} | alert._asdict() | {"new_drb": score}
    kept = {name: candidate.get(name) for name in chosen.keep_columns}
    entry = {
        "candid": packets.candid_of(record),
        "objectId": alert.objectId,
        "jd": candidate["jd"],
        "fid": int(candidate["fid"]),
        "magpsf": candidate["magpsf"],
        "isdiffpos": POSITIVE[str(candidate["isdiffpos"])],
        "ra": candidate["ra"],
        "dec": candidate["dec"],
        "label": label["label"],
        "source_set": label["source_set"],
        "split": label["split"],
        "new_drb_from": score_name,
    }
    return kept | entry, [known[name] for name in METADATA_COLUMNS]


def _chunk(rows: list[tuple[dict, list[float], np.ndarray]], refused: list[Refusal], kinds: dict[str, int]) -> Chunk:
    """Join the alerts of a block; a kept column has one type in all blocks, also where one of them lacks its values."""
    catalogue = pd.DataFrame([entry for entry, _, _ in rows])
    kept = {name: catalogue[name] for name in kinds if rows and name not in CATALOGUE_COLUMNS}
    return Chunk(
        catalogue=catalogue.assign(**{name: as_kind(column, kinds[name]) for name, column in kept.items()}),
        metadata=np.array([values for _, values, _ in rows], np.float32).reshape(-1, len(METADATA_COLUMNS)),
        stamps=np.array([stamps for _, _, stamps in rows], np.float32).reshape(
            -1, len(CHANNELS), STAMP_SIZE, STAMP_SIZE
        ),
        refused=refused,
    )
