"""The reader of alert packets: synthetic packets of several layouts, what it refuses, and the real packets."""

from __future__ import annotations

import gzip
import io
import os

import fastavro
import numpy as np
import pandas as pd
import pytest
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.dataset import read_catalogue, write_dataset
from alertgrid.errors import StudyError
from alertgrid.history import DERIVED
from alertgrid.sources import avro, packets
from alertgrid.stamps import preprocess_cutouts
from astropy.io import fits

FIRST = 2_466_440_000_000_000_001
CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}
NUMBERS = (*packets.NEEDED_COLUMNS, "drb", "rb")


def schema(outer_candid: bool) -> dict:
    """A layout of ZTF packets; older brokers keep `candid` in the inner record only."""
    fields = [{"name": name, "type": ["null", "double"]} for name in dict.fromkeys(NUMBERS)]
    texts = [{"name": name, "type": ["null", "string"]} for name in ("isdiffpos", "drbversion", "ssnamenr")]
    inner = {"name": "candid", "type": ["null", "long"]}
    candidate = {"type": "record", "name": "candidate", "fields": [inner, *fields, *texts]}
    previous = {
        "type": "record",
        "name": "prv",
        "fields": [{"name": n, "type": ["null", "double"]} for n in ("jd", "magpsf")],
    }
    outer = [
        {"name": "publisher", "type": ["null", "string"]},
        {"name": "objectId", "type": "string"},
        {"name": "candidate", "type": candidate},
        {"name": "prv_candidates", "type": ["null", {"type": "array", "items": previous}]},
        *({"name": name, "type": CUTOUT if name == "cutoutScience" else "cutout"} for name in packets.CUTOUTS),
    ]
    if outer_candid:
        outer.append({"name": "candid", "type": "long"})
    return {"type": "record", "name": "alert", "fields": outer}


def image(pixels: np.ndarray) -> dict:
    """A cutout as packets carry it."""
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels.astype(np.float32)).writeto(buffer)
    return {"fileName": "x.fits.gz", "stampData": gzip.compress(buffer.getvalue())}


def pixels_of(number: int) -> np.ndarray:
    """The cutouts of an alert."""
    return np.random.default_rng(number).normal(100, 5, (3, 63, 63)).astype(np.float32)


def packet(number: int, name: str = "ZTF18aaaaaaa", cutouts=None, previous=None, **candidate) -> dict:
    """One alert; keyword arguments replace values of its inner record."""
    rng = np.random.default_rng(1000 + number)
    values = {column: float(rng.uniform(1, 2)) for column in NUMBERS}
    values |= {"jd": 2_459_000.5 + number, "fid": 1.0, "magpsf": 18.0 + number / 10, "jdstarthist": 2_458_999.0}
    values |= {"ndethist": 2.0, "ncovhist": 9.0, "isdiffpos": "t", "drb": 0.75, "drbversion": "d6_m7", "rb": 0.5}
    values |= {"candid": FIRST + number, "ssnamenr": None}
    cutouts = pixels_of(number) if cutouts is None else cutouts
    return {
        "publisher": "ZTF",
        "objectId": name,
        "candid": FIRST + number,
        "candidate": values | candidate,
        "prv_candidates": previous,
        **{key: image(np.asarray(cutout)) for key, cutout in zip(packets.CUTOUTS, cutouts, strict=True)},
    }


def write(path, alerts: list[dict], codec: str = "null", outer_candid: bool = True):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as handle:
        fastavro.writer(handle, fastavro.parse_schema(schema(outer_candid)), alerts, codec=codec)
    return path


def write_labels(
    folder, rows=(("ZTF18aaaaaaa", 1, "trues", "train"), ("ZTF19bbbbbbb", 0, "vars", "val")), columns=None
):
    path = folder / "labels.csv"
    columns = columns or ["objectId", "label", "source_set", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def read_all(folder, **settings):
    labels = settings.pop("labels", None) or folder / "labels.csv"
    chunks = list(avro.read(folder=str(folder), labels=str(labels), **settings))
    return (
        pd.concat([chunk.catalogue for chunk in chunks], ignore_index=True),
        np.concatenate([chunk.metadata for chunk in chunks]),
        np.concatenate([chunk.stamps for chunk in chunks]),
        [refusal for chunk in chunks for refusal in chunk.refused],
    )


def test_packets_of_all_layouts_become_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(avro, "BLOCK", 2)
    alerts = [packet(0), packet(1, "ZTF19bbbbbbb", isdiffpos="0"), packet(2), packet(3, "ZTF19bbbbbbb", fid=2.0)]
    write(tmp_path / "a.avro", alerts[:2])
    write(tmp_path / "night" / "b.avro", alerts[2:3], "snappy")
    write(tmp_path / "night" / "c.avro", alerts[3:], "null", outer_candid=False)
    write_labels(tmp_path)
    catalogue, metadata, stamps, refused = read_all(tmp_path, keep_columns=["rb", "ssnamenr"])
    assert not refused
    assert catalogue["candid"].tolist() == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert catalogue["isdiffpos"].tolist() == ["t", "f", "t", "t"]
    assert catalogue["fid"].tolist() == [1, 1, 1, 2]
    assert catalogue["label"].tolist() == [1, 0, 1, 0]
    assert catalogue["source_set"].tolist() == ["trues", "vars"] * 2
    assert catalogue["split"].tolist() == ["train", "val"] * 2
    assert catalogue["rb"].tolist() == [0.5] * 4
    table = pd.DataFrame(metadata, columns=METADATA_COLUMNS)
    for name in packets.RAW_COLUMNS:
        expected = np.array([alert["candidate"][name] for alert in alerts], np.float32)
        np.testing.assert_array_equal(table[name], expected, err_msg=name)
    np.testing.assert_allclose(table["age"], [1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(table["nnotdet"], 7)
    cutouts = np.array([pixels_of(number) for number in range(4)])
    np.testing.assert_allclose(stamps, preprocess_cutouts(cutouts), rtol=1e-6, atol=0)


def test_history_counts_packets_previous_candidates_and_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(avro, "PENDING", 1)
    earlier = [
        {"jd": 2_458_998.5, "magpsf": 17.0},
        {"jd": 2_458_999.5, "magpsf": None},
        {"jd": 2_459_000.5, "magpsf": 18.0},
    ]
    write(tmp_path / "late.avro", [packet(4, previous=earlier)])
    write(tmp_path / "soon.avro", [packet(2)])
    write(tmp_path / "unused.avro", [packet(3, sgscore1=None, magpsf=21.5)])
    write_labels(tmp_path)
    table = tmp_path / "more.csv"
    pd.DataFrame({"objectId": ["ZTF18aaaaaaa"], "jd": [2_459_002.0], "magpsf": [16.5]}).to_csv(table, index=False)
    catalogue, metadata, _, refused = read_all(tmp_path)
    derived = pd.DataFrame(metadata, columns=METADATA_COLUMNS, index=catalogue["candid"])[list(DERIVED)]
    assert len(refused) == 1
    # The first detection is the previous candidate of a packet that came later; the refused packet's counts too.
    assert derived.loc[FIRST + 2].tolist() == [4.0, 4.0, 0.0, 17.0, np.float32(18.2), 7.0]
    assert derived.loc[FIRST + 4].tolist() == [6.0, 6.0, 0.0, 17.0, 21.5, 7.0]
    derived = pd.DataFrame(
        read_all(tmp_path, history=str(table))[1], columns=METADATA_COLUMNS, index=catalogue["candid"]
    )
    assert derived.loc[FIRST + 2, ["days_since_peak", "peakmag_so_far"]].tolist() == [0.5, 16.5]


def test_light_curves_keep_each_detection_once():
    curves = avro.LightCurves()
    for _ in range(3):
        curves.add("b", [(2.0, 18.0), (1.0, 19.0)])
        curves.add("a", [(2.0, 18.0)])
    assert sorted(curves.table().itertuples(index=False, name=None)) == [("a", 2, 18), ("b", 1, 19), ("b", 2, 18)]


def test_the_real_bogus_score_falls_back_in_the_order_asked_for(tmp_path):
    old = {"drb": 0.0, "drbversion": ""}
    write(tmp_path / "a.avro", [packet(0), packet(1, **old), packet(2, drb=None, rb=None)])
    write_labels(tmp_path)
    catalogue, metadata, _, refused = read_all(tmp_path)
    assert metadata[:, METADATA_COLUMNS.index("new_drb")].tolist() == [0.75, 0.5]
    assert catalogue["new_drb_from"].tolist() == ["drb", "rb"]
    assert [refusal.reason for refusal in refused] == ["none of the scores drb, rb in the packet"]
    assert len(read_all(tmp_path, real_bogus=["drb"])[0]) == 1


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


def test_cut_off_and_masked_cutouts_are_padded(tmp_path):
    cutouts = [np.full((63, 63), 5.0), np.full((43, 63), 5.0), np.full((63, 50), 5.0)]
    cutouts[0][:30] = np.nan
    write(tmp_path / "a.avro", [packet(0, cutouts=cutouts)])
    write_labels(tmp_path)
    stamps = read_all(tmp_path)[2]
    assert (stamps[0, 0, :30] == 0).all()
    assert (stamps[0, 1, 43:] == np.float32(1e-9)).all()
    assert (stamps[0, 2, :, 50:] == np.float32(1e-9)).all()
    np.testing.assert_allclose(np.linalg.norm(stamps[0].astype(float), axis=(1, 2)), 1, rtol=1e-6)


def test_inputs_are_the_tables_and_all_packets(tmp_path):
    write(tmp_path / "x" / "b.avro", [packet(0)])
    write(tmp_path / "a.avro", [packet(1)])
    settings = {"folder": str(tmp_path), "labels": str(tmp_path / "labels.csv"), "history": "h.csv"}
    names = [os.path.basename(path) for path in avro.inputs(**settings)]
    assert names == ["labels.csv", "h.csv", "a.avro", "b.avro"]


def test_a_label_table_may_repeat_itself_and_leave_out_what_it_does_not_know(tmp_path):
    write(tmp_path / "a.avro", [packet(0), packet(1, "ZTF19bbbbbbb")])
    rows = [("ZTF18aaaaaaa", "1.0"), ("ZTF19bbbbbbb", "0"), ("ZTF18aaaaaaa", "1")]
    write_labels(tmp_path, rows, ["objectId", "label"])
    catalogue = read_all(tmp_path)[0]
    assert catalogue["source_set"].tolist() == ["trues", "rejects"]
    assert catalogue["split"].tolist() == ["", ""]


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


# Columns of the published tables that a packet cannot give: new_drb was computed anew there by braai d6_m9.
RECOMPUTED = {"new_drb"}


def published_rows(folder) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Rows of all tables, by alert, and their stamps (3, 63, 63)."""
    tables, stamps = [], {}
    for name in ("train", "val", "test", "extra"):
        table = pd.read_csv(folder / f"{name}_cand.csv").assign(table=name)
        path = folder / ("extra_triplets_float16.npz" if name == "extra" else f"{name}_triplets.npy")
        pixels = np.load(path)["triplets"] if name == "extra" else np.load(path)
        stamps |= dict(zip(table["candid"], pixels.transpose(0, 3, 1, 2), strict=True))
        tables.append(table)
    return pd.concat(tables).set_index("candid"), stamps


@pytest.mark.real
@pytest.mark.parametrize("with_history", [False, True])
def test_the_real_packets_agree_with_the_published_tables(real_data, tmp_path, with_history):
    folder = real_data / "ztf"
    published, pixels = published_rows(folder)
    labels = published[["objectId", "label", "split"]].assign(label=published["label"].clip(0)).drop_duplicates()
    labels.to_csv(tmp_path / "labels.csv", index=False)
    chunks = avro.read(
        folder=str(folder / "raw_avro"),
        labels=str(tmp_path / "labels.csv"),
        history=str(folder / "history.csv") if with_history else "",
    )
    catalogue, metadata, stamps, refused = [], [], [], []
    for chunk in chunks:
        catalogue.append(chunk.catalogue)
        metadata.append(chunk.metadata)
        stamps.append(chunk.stamps)
        refused += chunk.refused
    catalogue, metadata, stamps = pd.concat(catalogue), np.concatenate(metadata), np.concatenate(stamps)
    assert len(catalogue) == 26 + 31
    assert sorted(refusal.file for refusal in refused) == [
        "foreign/decam.avro",
        "foreign/pgir.avro",
        "foreign/winter.avro",
    ]
    rows = published.loc[catalogue["candid"]]
    assert (rows["table"] == "extra").sum() == 10
    for candid, table, stamp in zip(catalogue["candid"], rows["table"], stamps, strict=True):
        tolerance = 3e-4 if table == "extra" else 1e-6  # the extra stamps were stored in float16
        np.testing.assert_allclose(stamp, pixels[candid], rtol=0, atol=tolerance)
    differing = set()
    for name, values in zip(METADATA_COLUMNS, metadata.T, strict=True):
        expected = rows[name].to_numpy()
        if not np.allclose(values, expected, rtol=1e-6, atol=1e-6):
            differing.add(name)
    assert differing == RECOMPUTED
    assert catalogue["new_drb_from"].value_counts().to_dict() == {"drb": 50, "rb": 7}


@pytest.mark.real
def test_the_real_packets_reach_the_dataset(real_data, tmp_path):
    folder = real_data / "ztf"
    chunks = avro.read(
        folder=str(folder / "raw_avro"), labels=str(folder / "train_cand.csv"), keep_columns=["ssnamenr", "rb"]
    )
    count = write_dataset(tmp_path / "d.h5", tmp_path / "refused.csv", chunks, source="avro")
    catalogue, refused = read_catalogue(tmp_path / "d.h5"), pd.read_csv(tmp_path / "refused.csv")
    assert count == len(catalogue) == (catalogue["split"] == "train").sum()
    assert count + len(refused) == 60
    assert refused["reason"].str.contains("has no label").sum() == 57 - count
