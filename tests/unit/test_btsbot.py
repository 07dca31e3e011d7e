"""The reader of the published format: round trip, every bad input, bounded memory, and the real files."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alertgrid.columns import CATALOGUE_COLUMNS, METADATA_COLUMNS
from alertgrid.dataset import read_catalogue, write_dataset
from alertgrid.errors import StudyError
from alertgrid.sources import btsbot
from alertgrid.stamps import preprocess_cutouts

FIRST = 2_466_440_000_000_000_001  # more digits than a float holds


def write_split(folder: Path, split: str = "train", count: int = 6, first: int = 0, **columns) -> pd.DataFrame:
    """Write one split with unit-norm stamps and a table that is right unless `columns` say otherwise."""
    rng = np.random.default_rng(first)
    stamps = preprocess_cutouts(rng.normal(10, 1, (count, 3, 63, 63)))
    np.save(folder / f"{split}_triplets.npy", stamps.transpose(0, 2, 3, 1))
    table = pd.DataFrame(rng.uniform(1, 2, (count, len(METADATA_COLUMNS))), columns=METADATA_COLUMNS)
    table = table.assign(
        objectId=[f"ZTF18{split[:3]}aaa{n // 2}" for n in range(count)],
        candid=np.arange(count) + FIRST + first,
        jd=2_459_000.5 + np.arange(count) / 7,
        fid=1 + np.arange(count) % 2,
        isdiffpos="t",
        label=np.arange(count) % 2,
        source_set=np.where(np.arange(count) % 2, "trues", "vars"),
    )
    table = table.assign(**columns)
    table.to_csv(folder / f"{split}_cand.csv", index=False)
    return table


def rewrite(folder: Path, column: str, row: int, value: object, split: str = "train") -> None:
    """Put one value into a table already written."""
    path = folder / f"{split}_cand.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[row, column] = value
    table.to_csv(path, index=False)


def edit_stamps(folder: Path, change) -> None:
    """Change the training stamps already written."""
    path = folder / "train_triplets.npy"
    np.save(path, change(np.load(path)))


def read_all(folder: Path, **settings) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, list]:
    chunks = list(btsbot.read(folder=str(folder), **settings))
    return (
        pd.concat([chunk.catalogue for chunk in chunks], ignore_index=True),
        np.concatenate([chunk.metadata for chunk in chunks]),
        np.concatenate([chunk.stamps for chunk in chunks]),
        [refusal for chunk in chunks for refusal in chunk.refused],
    )


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
    assert catalogue["source_set"].tolist() == ["rejects", "trues"] * 3


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
        "BTSbot cut: fid = 3.0",
        "BTSbot cut: no star/galaxy score (sgscore1 and sgscore2 below 0)",
    ]
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


def test_rounded_alert_numbers_are_refused_or_replaced_by_row(tmp_path):
    write_split(tmp_path, candid="2.46644e+18")
    write_split(tmp_path, "val", first=10)
    with pytest.raises(StudyError, match=r"train_cand.csv, row 0 .*candid is 2.46644e\+18(?s:.*)data.candid to 'row'"):
        read_all(tmp_path, splits=["train", "val"])
    catalogue = read_all(tmp_path, splits=["train", "val"], candid="row")[0]
    assert catalogue["candid"].tolist() == list(range(12))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "-1", r"row 3 .*\(line 5 of the CSV\): label is -1"),
        ("label", "2", r"row 3 .*label is 2"),
        ("label", "", r"row 3 .*label is nan(?s:.*)finite number"),
        ("magpsf", "", r"row 3 .*magpsf is nan(?s:.*)a finite number"),
        ("sky", "inf", r"row 3 .*sky is inf"),
        ("sky", "cloudy", r"row 3 .*sky is 'cloudy'(?s:.*)a number"),
        ("jd", "yesterday", r"row 3 .*jd is 'yesterday'"),
        ("candid", "", r"row 3 .*candid is nan"),
        ("candid", "9999999999999999999", r"row 3 .*candid is 9999999999999999999"),
        ("objectId", "", r"row 3 .*objectId is nan"),
        ("isdiffpos", "maybe", r"row 3 .*isdiffpos is maybe"),
        ("fid", "7", r"row 3 .*fid is 7"),
        ("source_set", "unlabelled", r"row 3 .*source_set is unlabelled(?s:.*)trues, dims, vars, rejects"),
    ],
)
def test_a_bad_value_is_named_by_file_row_and_column(tmp_path, monkeypatch, column, value, message):
    monkeypatch.setattr(btsbot, "SCAN", 2)
    write_split(tmp_path)
    rewrite(tmp_path, column, 3, value)
    with pytest.raises(StudyError, match="train_cand.csv, " + message):
        btsbot.read(folder=str(tmp_path), splits=["train"])


def test_a_repeated_alert_number_names_both_rows(tmp_path):
    write_split(tmp_path)
    write_split(tmp_path, "val", first=20)
    rewrite(tmp_path, "candid", 4, str(FIRST + 1), "val")
    expected = rf"train_cand.csv, row 1 .*val_cand.csv, row 4 .*candid {FIRST + 1} occurs more than once"
    with pytest.raises(StudyError, match=expected):
        btsbot.read(folder=str(tmp_path), splits=["train", "val"])


def test_missing_columns_are_all_named(tmp_path):
    table = write_split(tmp_path)
    table.drop(columns=["sky", "fid"]).to_csv(tmp_path / "train_cand.csv", index=False)
    with pytest.raises(StudyError, match="columns missing: fid, sky, class"):
        btsbot.read(folder=str(tmp_path), splits=["train"], keep_columns=["class"])


def test_tables_and_arrays_of_different_lengths_are_refused(tmp_path):
    write_split(tmp_path)
    edit_stamps(tmp_path, lambda stamps: stamps[:4])
    with pytest.raises(StudyError, match=r"train_cand.csv and train_triplets.npy: 6 rows in the table, 4 in the array"):
        btsbot.read(folder=str(tmp_path), splits=["train"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stamps: stamps.transpose(0, 3, 1, 2).copy(), r"stamps of shape \(6, 3, 63, 63\)"),
        (lambda stamps: stamps[:, :51, :51], r"stamps of shape \(6, 51, 51, 3\)"),
        (lambda stamps: stamps[0], r"stamps of shape \(63, 63, 3\)"),
        (lambda stamps: (stamps * 100).astype(np.int16), "stamps of type int16"),
        (np.asfortranarray, "Fortran order"),
    ],
)
def test_arrays_of_another_layout_are_refused(tmp_path, change, message):
    write_split(tmp_path)
    edit_stamps(tmp_path, change)
    with pytest.raises(StudyError, match=f"train_triplets.npy: .*{message}"):
        btsbot.read(folder=str(tmp_path), splits=["train"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_stamps_that_are_not_finite_are_named(tmp_path, monkeypatch, value):
    monkeypatch.setattr(btsbot, "BLOCK", 2)

    def spoil(stamps):
        stamps[3, 10, 10, 2] = value
        return stamps

    write_split(tmp_path)
    edit_stamps(tmp_path, spoil)
    with pytest.raises(StudyError, match=r"train_triplets.npy, row 3 .*NaN or infinity in the difference stamp"):
        read_all(tmp_path, splits=["train"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_triplets.npy", None, "train_triplets.npy: there is no such file"),
        ("train_cand.csv", None, "train_cand.csv: there is no such file"),
        ("train_triplets.npy", b"hello", "train_triplets.npy: not an npy file"),
        ("train_triplets.npy", b"\x93NUMPY\x01\x00", "train_triplets.npy: truncated or damaged"),
        ("train_cand.csv", b"", "train_cand.csv: cannot be read"),
        ("train_cand.csv", b"\xff\xfe\x00\x01,\n", "train_cand.csv: cannot be read"),
        ("train_cand.csv", b"candid,label\n1,2\n1,2,3,4\n", "train_cand.csv: c"),
    ],
)
def test_missing_and_damaged_files_are_named(tmp_path, name, content, message):
    write_split(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=message):
        btsbot.read(folder=str(tmp_path), splits=["train"])


def test_a_row_whose_values_have_shifted_is_named(tmp_path):
    write_split(tmp_path)
    with open(tmp_path / "train_cand.csv", "a") as handle:
        handle.write("1," * 60 + "\n")
    with pytest.raises(StudyError, match=r"train_cand.csv, row 6 .*source_set is 1"):
        btsbot.read(folder=str(tmp_path), splits=["train"])


def test_a_table_cut_off_within_a_text_is_refused(tmp_path):
    write_split(tmp_path)
    with open(tmp_path / "train_cand.csv", "a") as handle:
        handle.write('1,"2\n')
    with pytest.raises(StudyError, match=r"train_cand.csv: cannot be read .*EOF inside string"):
        btsbot.read(folder=str(tmp_path), splits=["train"])


def test_an_empty_split_is_read_as_empty(tmp_path):
    table = write_split(tmp_path)
    table[:0].to_csv(tmp_path / "train_cand.csv", index=False)
    edit_stamps(tmp_path, lambda stamps: stamps[:0])
    assert sum(len(chunk.catalogue) for chunk in btsbot.read(folder=str(tmp_path), splits=["train"])) == 0


def test_a_truncated_array_is_refused_before_it_is_read(tmp_path):
    write_split(tmp_path)
    path = tmp_path / "train_triplets.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StudyError, match=r"train_triplets.npy: truncated or damaged npy file"):
        btsbot.read(folder=str(tmp_path), splits=["train"])


def test_a_missing_or_closed_folder_is_refused(tmp_path, monkeypatch):
    with pytest.raises(StudyError, match=r"data.folder, .*nowhere: there is no such folder"):
        btsbot.read(folder=str(tmp_path / "nowhere"))
    # The tests may run as root, who can read everything.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(StudyError, match="the folder cannot be read"):
        btsbot.read(folder=str(tmp_path))


# VmHWM, since getrusage's maximum is inherited from the process that started this one.
_MEASURE = """
import sys
from alertgrid.sources import btsbot
def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) // 1024
chunks = btsbot.read(folder=sys.argv[1], splits=["train"])
next(chunks)
first = peak()
refused = sum(len(chunk.refused) for chunk in chunks)
print(refused, first, peak())
"""


@pytest.mark.slow
def test_memory_stays_bounded_on_an_array_larger_than_the_bound(tmp_path):
    count = 24_000  # 2.3 GB of float64 stamps, all of them holes in the file
    write_split(tmp_path, count=6)
    table = pd.read_csv(tmp_path / "train_cand.csv")
    table = table.loc[np.zeros(count, int)].assign(candid=np.arange(count) + FIRST)
    table.to_csv(tmp_path / "train_cand.csv", index=False)
    np.lib.format.open_memmap(tmp_path / "train_triplets.npy", "w+", "float64", (count, 63, 63, 3))
    command = [sys.executable, "-c", _MEASURE, str(tmp_path)]
    refused, first, peak = map(int, subprocess.check_output(command, text=True).split())
    assert refused == count - 1024
    assert peak < 1000
    assert peak - first < 100


def test_a_bad_row_far_down_is_found_quickly(tmp_path):
    count = 30_000
    write_split(tmp_path, count=6)
    table = pd.read_csv(tmp_path / "train_cand.csv")
    table = table.loc[np.zeros(count, int)].assign(candid=np.arange(count) + FIRST)
    table.iloc[-1, list(table).index("label")] = 5
    table.to_csv(tmp_path / "train_cand.csv", index=False)
    np.lib.format.open_memmap(tmp_path / "train_triplets.npy", "w+", "float64", (count, 63, 63, 3))
    start = time.monotonic()
    with pytest.raises(StudyError, match=r"row 29999 .*label is 5"):
        btsbot.read(folder=str(tmp_path), splits=["train"])
    assert time.monotonic() - start < 10


@pytest.mark.real
def test_the_real_tables_pass_whole_and_reach_the_dataset(real_data, tmp_path):
    folder = real_data / "ztf"
    chunks = btsbot.read(folder=str(folder), keep_columns=["btsbot_v101_score", "sample"])
    count = write_dataset(tmp_path / "d.h5", tmp_path / "refused.csv", chunks, source="btsbot")
    catalogue = read_catalogue(tmp_path / "d.h5")
    published = pd.concat([pd.read_csv(folder / f"{split}_cand.csv") for split in ("train", "val", "test")])
    assert count == 1000
    assert catalogue["candid"].tolist() == published["candid"].tolist()
    assert catalogue["split"].tolist() == published["split"].tolist()
    assert catalogue["source_set"].tolist() == published["source_set"].tolist()
    np.testing.assert_allclose(catalogue["btsbot_v101_score"], published["btsbot_v101_score"])
    assert len(pd.read_csv(tmp_path / "refused.csv")) == 0


@pytest.mark.real
def test_the_real_example_has_rounded_alert_numbers(real_data):
    settings = {
        "folder": str(real_data / "btsbot_example"),
        "catalogue": "usage_candidates.csv",
        "stamps": "usage_triplets.npy",
    }
    with pytest.raises(StudyError, match=r"usage_candidates.csv, row 0 .*candid is 2.46644e\+18"):
        btsbot.read(**settings)
    chunks = list(btsbot.read(**settings, candid="row", keep_columns=["expected_scores"]))
    assert [len(chunk.catalogue) for chunk in chunks] == [39]
    assert chunks[0].catalogue["objectId"].nunique() == 2


@pytest.mark.real
def test_the_real_alerts_without_a_label_are_refused(real_data, tmp_path):
    stamps = np.load(real_data / "ztf" / "extra_triplets_float16.npz")["triplets"]
    np.save(tmp_path / "extra_triplets.npy", stamps)
    (tmp_path / "extra_cand.csv").symlink_to(real_data / "ztf" / "extra_cand.csv")
    with pytest.raises(StudyError, match=r"extra_cand.csv, row 0 .*(label is -1|sgscore1 is nan)"):
        btsbot.read(folder=str(tmp_path), splits=["extra"])
