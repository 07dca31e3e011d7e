"""The reader of the published format: what was written comes back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alertgrid.columns import CATALOGUE_COLUMNS, METADATA_COLUMNS
from alertgrid.errors import StudyError
from alertgrid.sources import btsbot
from published_tables import FIRST, edit_stamps, read_all, write_split


def test_all_splits_come_back_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.setattr(btsbot, "BLOCK", 4)
    tables = [write_split(tmp_path, split, 6, 100 * n) for n, split in enumerate(("train", "val", "test"))]
    catalogue, metadata, stamps, refused = read_all(tmp_path)
    table = pd.concat(tables, ignore_index=True)
    assert list(catalogue) == list(CATALOGUE_COLUMNS)
    assert catalogue["candid"].tolist() == table["candid"].tolist()
    assert catalogue["jd"].tolist() == table["jd"].tolist()
    assert catalogue["split"].tolist() == ["train"] * 6 + ["val"] * 6 + ["test"] * 6
    assert catalogue["label"].tolist() == table["label"].tolist()
    assert not refused
    np.testing.assert_allclose(metadata, table[list(METADATA_COLUMNS)], rtol=1e-6)
    written = [np.load(tmp_path / f"{split}_triplets.npy") for split in ("train", "val", "test")]
    np.testing.assert_array_equal(stamps, np.concatenate(written).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", ["float64", ">f4", "float16"])
def test_any_floating_type_is_read(tmp_path, dtype):
    write_split(tmp_path)
    before = np.load(tmp_path / "train_triplets.npy")
    edit_stamps(tmp_path, lambda stamps: stamps.astype(dtype))
    stamps = read_all(tmp_path, splits=["train"])[2]
    assert stamps.dtype == np.float32
    np.testing.assert_allclose(stamps, before.transpose(0, 3, 1, 2), rtol=1e-3)


def test_file_names_follow_version_and_cuts(tmp_path):
    write_split(tmp_path)
    write_split(tmp_path, "val", first=50)
    for old, new in (("train_cand", "train_cand_v10_N100"), ("val_cand", "val_cand_v10")):
        (tmp_path / f"{old}.csv").rename(tmp_path / f"{new}.csv")
    for old, new in (("train_triplets", "train_triplets_v10_N100"), ("val_triplets", "val_triplets_v10")):
        (tmp_path / f"{old}.npy").rename(tmp_path / f"{new}.npy")
    settings = {"version": "v10", "cuts": {"train": "_N100"}, "splits": ["train", "val"]}
    assert len(read_all(tmp_path, **settings)[0]) == 12
    names = [path.name for path in btsbot.inputs(folder=str(tmp_path), **settings)]
    assert names == [
        "train_cand_v10_N100.csv",
        "train_triplets_v10_N100.npy",
        "val_cand_v10.csv",
        "val_triplets_v10.npy",
    ]


def test_one_file_without_splits_and_without_source_sets(tmp_path):
    table = write_split(tmp_path, "usage").drop(columns="source_set")
    table.to_csv(tmp_path / "usage_cand.csv", index=False)
    catalogue = read_all(tmp_path, catalogue="usage_cand.csv", stamps="usage_triplets.npy")[0]
    assert set(catalogue["split"]) == {""}
    assert catalogue["source_set"].tolist() == ["rejects"] * 2 + ["trues"] * 2 + ["rejects"] * 2


def test_kept_columns_have_one_type_in_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(btsbot, "BLOCK", 2)
    extra = {
        "pid": np.arange(6) + 2_481_397_253_415,
        "score": [0.1, 0.2, np.nan, np.nan, 1, 0],
        "remark": ["1", "2", "3", None, "x", "6"],
        "gap": [1, 2, 3, 4, None, 6],
    }
    write_split(tmp_path, **extra)
    catalogue = read_all(tmp_path, splits=["train"], keep_columns=["pid", "score", "remark", "gap"])[0]
    assert catalogue["pid"].tolist() == extra["pid"].tolist()
    assert catalogue["pid"].dtype == np.int64
    np.testing.assert_array_equal(catalogue["score"], extra["score"])
    assert catalogue["remark"].tolist() == ["1", "2", "3", "", "x", "6"]
    np.testing.assert_array_equal(catalogue["gap"], [1, 2, 3, 4, np.nan, 6])


def test_kept_and_selected_columns_may_be_among_the_standard_ones(tmp_path):
    write_split(tmp_path)
    catalogue = read_all(tmp_path, splits=["train"], keep_columns=["jd", "sky"], select={"fid": [2]})[0]
    assert catalogue["fid"].tolist() == [2, 2, 2]
    assert catalogue["sky"].dtype == np.float64


def test_blanks_around_a_name_make_no_other_object(tmp_path):
    write_split(tmp_path, objectId=["ZTF18a", "ZTF18a ", " ZTF18b", "ZTF18b", "ZTF18c  ", "ZTF18c"])
    assert read_all(tmp_path, splits=["train"])[0]["objectId"].tolist() == [f"ZTF18{name}" for name in "aabbcc"]


def test_rows_not_selected_are_listed_and_need_not_be_good(tmp_path):
    write_split(tmp_path, label=[-1, 0, 1, 0, 1, 0], night=["a", "a", "b", "a", "a", "b"])
    catalogue, metadata, stamps, refused = read_all(
        tmp_path, splits=["train"], select={"label": [0, 1], "night": ["a"]}
    )
    assert catalogue["candid"].tolist() == [FIRST + 1, FIRST + 3, FIRST + 4]
    assert len(metadata) == len(stamps) == 3
    np.testing.assert_array_equal(stamps[1], np.load(tmp_path / "train_triplets.npy")[3].transpose(2, 0, 1))
    assert [(r.file, r.row, r.reason) for r in refused] == [
        ("train_cand.csv", 0, "not selected: label = -1.0"),
        ("train_cand.csv", 2, "not selected: night = b"),
        ("train_cand.csv", 5, "not selected: night = b"),
    ]
    assert refused[1].candid == str(FIRST + 2)


def test_the_published_cuts_are_applied_on_request(tmp_path):
    write_split(
        tmp_path,
        isdiffpos=["t", "f", "1", "t", "True", "t"],
        fid=[1, 1, 3, 2, 2, 2],
        sgscore1=[0.5, 0.5, 0.5, -999, -999, 0.5],
        sgscore2=[0.5, 0.5, 0.5, -999, 0.5, -999],
    )
    catalogue, _, _, refused = read_all(tmp_path, splits=["train"], apply_cuts=True)
    assert catalogue["candid"].tolist() == [FIRST, FIRST + 4, FIRST + 5]
    assert set(catalogue["isdiffpos"]) == {"t"}
    assert [refusal.reason for refusal in refused] == [
        "BTSbot cut: isdiffpos = f",
        "BTSbot cut: fid = 3",
        "BTSbot cut: no star/galaxy score (sgscore1 and sgscore2 below 0)",
    ]
    assert len(read_all(tmp_path, splits=["train"])[0]) == 6


def test_dims_that_were_bright_in_another_row_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(btsbot, "BLOCK", 1)
    write_split(tmp_path, magpsf=[19.0, 18.4, 19.0, 18.6, 17.0, 17.0], source_set=["dims"] * 4 + ["vars"] * 2)
    catalogue, _, _, refused = read_all(tmp_path, splits=["train"], apply_cuts=True)
    assert catalogue["candid"].tolist() == [FIRST + row for row in (2, 3, 4, 5)]
    assert [refusal.row for refusal in refused] == [0, 1]
    assert "peaks at 18.5 mag or brighter" in refused[0].reason
    assert len(read_all(tmp_path, splits=["train"])[0]) == 6


def test_a_selection_of_nothing_gives_empty_chunks(tmp_path):
    write_split(tmp_path)
    catalogue, _, stamps, refused = read_all(tmp_path, splits=["train"], select={"fid": [3]})
    assert (len(catalogue), stamps.shape, len(refused)) == (0, (0, 3, 63, 63), 6)


def test_blank_cutouts_are_refused_and_listed(tmp_path):
    def blank(stamps):
        stamps[2, :, :, 1] = 0
        stamps[4, :, :, 2] = 1e-9
        return stamps

    write_split(tmp_path)
    edit_stamps(tmp_path, blank)
    catalogue, _, _, refused = read_all(tmp_path, splits=["train"])
    assert catalogue["candid"].tolist() == [FIRST, FIRST + 1, FIRST + 3, FIRST + 5]
    assert [(refusal.row, refusal.reason) for refusal in refused] == [
        (2, "a cutout is all zero"),
        (4, "a cutout is all zero"),
    ]


def test_stamps_in_counts_are_normalised_on_request(tmp_path):
    write_split(tmp_path)
    edit_stamps(tmp_path, lambda stamps: stamps * 500)
    with pytest.raises(StudyError, match=r"train_triplets.npy, row 0 .*(?s:.*)normalise"):
        read_all(tmp_path, splits=["train"])
    stamps = read_all(tmp_path, splits=["train"], normalise=True)[2]
    np.testing.assert_allclose(np.linalg.norm(stamps.astype(float), axis=(2, 3)), 1, rtol=1e-6)
