"""The reader of alert packets: synthetic packets of several layouts become rows."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.dataset import read_catalogue, write_dataset
from alertgrid.history import DERIVED
from alertgrid.sources import avro, packets
from alertgrid.sources.curves import LightCurves
from alertgrid.stamps import preprocess_cutouts
from packets import FIRST, packet, pixels_of, read_all, write, write_labels


def test_packets_of_all_layouts_become_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(avro, "BLOCK", 2)
    alerts = [packet(0), packet(1, "ZTF19bbbbbbb", isdiffpos="0"), packet(2), packet(3, "ZTF19bbbbbbb", fid=2.0)]
    write(tmp_path / "a.avro", alerts[:2])
    write(tmp_path / "night" / "b.avro", alerts[2:3], "snappy")
    write(tmp_path / "night" / "c.avro", alerts[3:], "null", outer_candid=False)
    write_labels(tmp_path)
    catalogue, metadata, stamps, refused = read_all(tmp_path, keep_columns=["rb", "ssnamenr"], apply_cuts=False)
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
    curves = LightCurves()
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


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path):
    folder = tmp_path / "alerts"
    write(folder / "a.avro", [packet(0)])
    write(tmp_path / "elsewhere" / "b.avro", [packet(1)])
    (folder / "nights").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    write_labels(folder)
    assert read_all(folder)[0]["candid"].tolist() == [FIRST, FIRST + 1]


def test_labelled_objects_without_a_packet_are_named_in_the_log(tmp_path, capsys):
    write(tmp_path / "a.avro", [packet(0), packet(1, sgscore1=None)])
    write_labels(tmp_path)
    read_all(tmp_path)
    assert "1 of 2 labelled objects have no alert packet: ZTF19bbbbbbb\n" in capsys.readouterr().out
    write_labels(tmp_path, [("ZTF18aaaaaaa", 1), *((f"ZTF20aaaaa{n}", 0) for n in range(12))], ["objectId", "label"])
    read_all(tmp_path)
    assert "12 of 13 labelled objects have no alert packet: ZTF20aaaaa0, " in (said := capsys.readouterr().out)
    assert said.rstrip().endswith("ZTF20aaaaa9, ...")


def test_a_label_table_may_repeat_itself_and_leave_out_what_it_does_not_know(tmp_path):
    write(tmp_path / "a.avro", [packet(0), packet(1, "ZTF19bbbbbbb")])
    rows = [("ZTF18aaaaaaa", "1.0"), ("ZTF19bbbbbbb", "0"), ("ZTF18aaaaaaa", "1")]
    write_labels(tmp_path, rows, ["objectId", "label"])
    catalogue = read_all(tmp_path)[0]
    assert catalogue["source_set"].tolist() == ["trues", "rejects"]
    assert catalogue["split"].tolist() == ["", ""]


def test_kept_columns_have_one_type_in_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(avro, "BLOCK", 1)
    values = [(None, None, 1.0), (7.5, "a comet", 2.0), (None, None, 3.0)]
    alerts = [packet(n, rb=rb, ssnamenr=name, fid=fid) for n, (rb, name, fid) in enumerate(values)]
    write(tmp_path / "a.avro", alerts)
    write_labels(tmp_path)
    chunks = avro.read(
        folder=str(tmp_path),
        labels=str(tmp_path / "labels.csv"),
        keep_columns=["rb", "ssnamenr", "fid"],
        apply_cuts=False,
    )
    write_dataset(tmp_path / "d.h5", tmp_path / "refused.csv", chunks, source="avro")
    catalogue = read_catalogue(tmp_path / "d.h5")
    np.testing.assert_array_equal(catalogue["rb"], [np.nan, 7.5, np.nan])
    assert catalogue["ssnamenr"].tolist() == ["", "a comet", ""]
    assert catalogue["fid"].tolist() == [1, 2, 3]
