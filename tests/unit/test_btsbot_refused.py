"""The reader of the published format: every bad input is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from alertgrid.errors import StudyError
from alertgrid.sources import btsbot
from published_tables import FIRST, edit_stamps, read_all, rewrite, write_split


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
        ("objectId", "  ", r"row 3 .*objectId is "),
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


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_object_with_two_labels_is_refused_and_both_rows_named(tmp_path, monkeypatch, split):
    monkeypatch.setattr(btsbot, "SCAN", 4)
    write_split(tmp_path)
    write_split(tmp_path, "val", first=20)
    rewrite(tmp_path, "objectId", 5, "ZTF18traaaa1 ", split)
    expected = rf"train_cand.csv, row 2 .* and .*{split}_cand.csv, row 5 .*: ZTF18traaaa1 has label 0 and label 1 \(1 "
    with pytest.raises(StudyError, match=expected):
        btsbot.read(folder=str(tmp_path), splits=["train", "val"])
    assert len(read_all(tmp_path, splits=["train", "val"], select={"label": [0]})[0]) == 8


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


def test_an_archive_that_is_named_as_an_array_is_refused(tmp_path):
    write_split(tmp_path)
    stamps = np.load(tmp_path / "train_triplets.npy")
    np.savez(tmp_path / "archive.npz", stamps=stamps)
    (tmp_path / "archive.npz").rename(tmp_path / "train_triplets.npy")
    with pytest.raises(StudyError, match=r"train_triplets.npy: an npz archive of stamps, not an npy file"):
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
        ("train_cand.csv", b"candid;ra\n1;1,5\n", "train_cand.csv: its header is parted by ';'"),
        ("train_cand.csv", b"candid\tra\n1\t1.5\n", "train_cand.csv: its header is parted by"),
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


@pytest.mark.parametrize("edit", ["{number},{row}", "{row},", "{number},{row},"])
def test_rows_longer_than_the_header_are_refused_before_any_row_moves(tmp_path, edit):
    write_split(tmp_path)
    path = tmp_path / "train_cand.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(edit.format(number=n + 1, row=row) for n, row in enumerate(rows))]) + "\n")
    with pytest.raises(StudyError, match=r"train_cand.csv, row 0 .*the row has [12] more values? than the header"):
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
