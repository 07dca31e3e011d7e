"""The reader of alert packets: what it refuses, and what it says."""

from __future__ import annotations

import fastavro
import numpy as np
import pandas as pd
import pytest
from alertgrid.dataset import write_dataset
from alertgrid.errors import StudyError
from alertgrid.sources import avro
from packets import FIRST, packet, read_all, write, write_labels


def test_unusable_packets_are_refused_by_name_and_the_rest_goes_on(tmp_path):
    blank = np.ones((3, 63, 63))
    blank[1] = 0
    spoiled = packet(6)
    spoiled["cutoutScience"]["stampData"] = b"no gzip"
    alerts = [
        packet(0),
        packet(1, "ZTF20unlabel"),
        packet(2, magpsf=None, sky=float("nan")),
        packet(3, cutouts=blank),
        packet(4, isdiffpos="x"),
        packet(0),
        spoiled,
        packet(7, "PGIR21abcdefg"),
    ]
    write(tmp_path / "night" / "a.avro", alerts)
    write_labels(tmp_path)
    catalogue, _, _, refused = read_all(tmp_path)
    assert catalogue["candid"].tolist() == [FIRST]
    reasons = {refusal.row: refusal for refusal in refused}
    assert {refusal.file for refusal in refused} == {"night/a.avro"}
    assert reasons[1].reason == "object ZTF20unlabel has no label"
    assert reasons[1].candid == str(FIRST + 1)
    assert reasons[2].reason == "no value of magpsf, sky in the packet"
    assert reasons[3].reason == "template cutout is all zero"
    assert reasons[4].reason == "isdiffpos is 'x'"
    assert reasons[5].reason == f"candid {FIRST} occurs more than once; the first one is taken"
    assert reasons[6].reason.startswith("cutoutScience cannot be decoded: BadGzipFile")
    assert reasons[7].reason == "not a ZTF alert: publisher 'ZTF', objectId 'PGIR21abcdefg'"
    assert len(refused) == 7


@pytest.mark.parametrize("codec", ["null", "snappy"])
def test_a_file_that_breaks_off_gives_its_whole_records(tmp_path, codec):
    path = write(tmp_path / "a.avro", [packet(0)], codec)
    with open(path, "a+b") as handle:
        fastavro.writer(handle, None, [packet(1)], codec=codec)
    path.write_bytes(path.read_bytes()[:-500])
    (tmp_path / "empty.avro").write_bytes(b"")
    (tmp_path / "text.avro").write_bytes(b"this is no packet")
    write_labels(tmp_path)
    catalogue, _, _, refused = read_all(tmp_path)
    assert catalogue["candid"].tolist() == [FIRST]
    assert [(refusal.file, refusal.row) for refusal in refused] == [("a.avro", 1), ("empty.avro", 0), ("text.avro", 0)]
    assert all("file is broken from record" in refusal.reason for refusal in refused)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("ZTF18aaaaaaa",)], ["objectId"], r"labels.csv: columns missing: label"),
        ([("ZTF18aaaaaaa", 1), ("ZTF19bbbbbbb", -1)], ["objectId", "label"], r"labels.csv, row 1 .*label is -1"),
        ([("ZTF18aaaaaaa", "yes")], ["objectId", "label"], r"labels.csv, row 0 .*label is yes"),
        ([(None, 1)], ["objectId", "label"], r"labels.csv, row 0 .*objectId is nan"),
        ([("ZTF18aaaaaaa", 1), ("ZTF18aaaaaaa", 0)], ["objectId", "label"], r"row 1 .*objectId is ZTF18aaaaaaa"),
        ([("ZTF18aaaaaaa", 1, "novae")], ["objectId", "label", "source_set"], r"row 0 .*source_set is novae"),
        ([("ZTF18aaaaaaa", 1, "dev")], ["objectId", "label", "split"], r"row 0 .*split is dev"),
    ],
)
def test_bad_label_tables_are_refused(tmp_path, rows, columns, message):
    write(tmp_path / "a.avro", [packet(0)])
    write_labels(tmp_path, rows, columns)
    with pytest.raises(StudyError, match=message):
        read_all(tmp_path)


def test_bad_folders_tables_and_settings_are_refused(tmp_path):
    write_labels(tmp_path)
    with pytest.raises(StudyError, match="no alert packets"):
        read_all(tmp_path)
    with pytest.raises(StudyError, match="there is no such folder"):
        read_all(tmp_path / "nowhere")
    write(tmp_path / "a.avro", [packet(0)])
    with pytest.raises(StudyError, match=r"none\.csv: cannot be read"):
        read_all(tmp_path, labels=tmp_path / "none.csv")
    with pytest.raises(StudyError, match=r"data\.keep_columns: acai in no packet"):
        read_all(tmp_path, keep_columns=["rb", "acai"])
    table = tmp_path / "more.csv"
    pd.DataFrame({"objectId": ["ZTF18aaaaaaa"], "jd": ["today"], "magpsf": [16.5]}).to_csv(table, index=False)
    with pytest.raises(StudyError, match=r"more\.csv, row 0 .*jd is today"):
        read_all(tmp_path, history=str(table))


@pytest.mark.parametrize(("name", "reason"), [("ZTF20ccccccc", "has no label"), ("PGIR21abcdefg", "not a ZTF alert")])
def test_a_folder_of_which_nothing_can_be_taken_ends_with_the_reasons(tmp_path, name, reason):
    write(tmp_path / "a.avro", [packet(number, name) for number in range(3)])
    write_labels(tmp_path)
    chunks = avro.read(folder=str(tmp_path), labels=str(tmp_path / "labels.csv"))
    with pytest.raises(StudyError, match=f"no alert was taken; 3 refused, the first because: .*{reason}"):
        write_dataset(tmp_path / "dataset.h5", tmp_path / "refused.csv", chunks, source="avro")
    assert pd.read_csv(tmp_path / "refused.csv")["reason"].str.contains(reason).sum() == 3


def test_refusals_come_in_blocks_too(tmp_path, monkeypatch):
    monkeypatch.setattr(avro, "BLOCK", 2)
    write(tmp_path / "a.avro", [packet(number, "ZTF20ccccccc") for number in range(5)])
    write_labels(tmp_path)
    chunks = list(avro.read(folder=str(tmp_path), labels=str(tmp_path / "labels.csv")))
    assert [len(chunk.refused) for chunk in chunks] == [2, 2, 1]
