"""The file of the alerts: what goes in comes out, and what breaks the contract is refused by name."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
from alertgrid import dataset
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.errors import StudyError
from alertgrid.sources import Chunk, Refusal, reader
from alerts import make_chunk


def write(folder, *chunks, **options):
    path = folder / "dataset.h5"
    dataset.write_dataset(path, folder / "refused.csv", chunks, source="test", **options)
    return path


def test_what_goes_in_comes_out(tmp_path, chunk):
    path = write(tmp_path, chunk, dtype="float32", inputs={"a.csv": "0" * 64})
    catalogue = dataset.read_catalogue(path)
    for column in chunk.catalogue:
        assert catalogue[column].tolist() == chunk.catalogue[column].tolist(), column
    assert catalogue["candid"].dtype == np.int64
    np.testing.assert_array_equal(dataset.open_stamps(path), chunk.stamps)
    np.testing.assert_array_equal(dataset.read_metadata(path), chunk.metadata)
    assert dataset.read_attributes(path)["inputs"] == '{"a.csv": "' + "0" * 64 + '"}'


def test_float16_keeps_a_unit_cutout_to_a_thousandth_of_its_norm(tmp_path, chunk):
    stamps = chunk.stamps / np.linalg.norm(chunk.stamps, axis=(2, 3), keepdims=True)
    path = write(tmp_path, Chunk(chunk.catalogue, chunk.metadata, stamps))
    stored = np.asarray(dataset.open_stamps(path), np.float32)
    assert np.linalg.norm(stored - stamps, axis=(2, 3)).max() < 1e-3


def test_many_chunks_are_one_file_and_the_same_bytes_again(tmp_path, chunk):
    halves = [
        Chunk(chunk.catalogue[part].reset_index(drop=True), chunk.metadata[part], chunk.stamps[part])
        for part in (slice(0, 70), slice(70, None))
    ]
    first = write(tmp_path, *halves).read_bytes()
    assert first == write(tmp_path, chunk).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.h5", "refused.csv"]


def test_refused_alerts_are_listed(tmp_path, chunk):
    refusal = Refusal("night.avro", 3, "2466440000000000999", "ZTF23aaaa", "difference cutout is all zero")
    write(tmp_path, Chunk(chunk.catalogue, chunk.metadata, chunk.stamps, [refusal]))
    listed = pd.read_csv(tmp_path / "refused.csv")
    assert listed["candid"].tolist() == [2466440000000000999]
    assert listed["reason"].tolist() == ["difference cutout is all zero"]


def spoil(chunk, column=None, value=None, row=7, array=None):
    catalogue, metadata, stamps = chunk.catalogue.copy(), chunk.metadata.copy(), chunk.stamps.copy()
    if column:
        catalogue[column] = catalogue[column].astype(object)
        catalogue.loc[row, column] = value
        catalogue[column] = catalogue[column].infer_objects()
    if array == "metadata":
        metadata[row, 3] = np.nan
    if array == "stamps":
        stamps[row, 1, 5, 5] = np.inf
    return Chunk(catalogue, metadata, stamps)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"column": "label", "value": 2}, r"candid 2466440000000000008: label is 2"),
        ({"column": "source_set", "value": "asteroids"}, r"source_set is 'asteroids'"),
        ({"column": "split", "value": "dev"}, r"split is 'dev'"),
        ({"column": "candid", "value": 2.46644e18}, r"candid: type float64"),
        ({"column": "candid", "value": 2466440000000000001}, r"candid 2466440000000000001: 1 alert number"),
        ({"array": "metadata"}, r"candid 2466440000000000008: distpsnr2 is nan"),
        ({"array": "stamps"}, r"candid 2466440000000000008: NaN or infinity in its stamps"),
    ],
)
def test_a_broken_row_is_named_and_nothing_is_left(tmp_path, chunk, damage, said):
    with pytest.raises(StudyError, match=said):
        write(tmp_path, spoil(chunk, **damage))
    assert not (tmp_path / "dataset.h5").exists()
    assert not list(tmp_path.glob(".*"))


def test_wrong_shapes_and_missing_columns_are_named(tmp_path, chunk):
    with pytest.raises(StudyError, match=r"stamps: shape \(120, 2, 63, 63\)"):
        write(tmp_path, Chunk(chunk.catalogue, chunk.metadata, chunk.stamps[:, :2]))
    with pytest.raises(StudyError, match=r"metadata: shape \(120, 24\)"):
        write(tmp_path, Chunk(chunk.catalogue, chunk.metadata[:, :24], chunk.stamps))
    with pytest.raises(StudyError, match="columns missing: magpsf"):
        write(tmp_path, Chunk(chunk.catalogue.drop(columns="magpsf"), chunk.metadata, chunk.stamps))


def empty_chunk(*refused):
    return Chunk(pd.DataFrame(), np.zeros((0, 25), np.float32), np.zeros((0, 3, 63, 63), np.float32), list(refused))


def test_no_alert_at_all_is_an_error_that_points_to_the_reasons(tmp_path, chunk):
    refusals = [Refusal("a.avro", row, "", "", f'object "{row}", no label') for row in range(2)]
    with pytest.raises(
        StudyError, match=r'no alert was taken; 2 refused, the first because: object "0", no label'
    ) as error:
        write(tmp_path, empty_chunk(*refusals), empty_chunk())
    # Snakemake removes the outputs of a rule that fails, so the list is kept under another name too.
    assert str(tmp_path / "all_refused.csv") in error.value.remedy
    for name in ("refused.csv", "all_refused.csv"):
        assert pd.read_csv(tmp_path / name)["reason"].tolist() == [refusal.reason for refusal in refusals]
    write(tmp_path, chunk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.h5", "refused.csv"]


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path, chunk):
    for name in (".dataset.0123abcd.h5", ".refused.89abcdef.csv"):
        (tmp_path / name).write_text("half")
    write(tmp_path, chunk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.h5", "refused.csv"]


def test_refusals_take_no_memory_however_many(tmp_path, chunk):
    def chunks():
        yield chunk
        for number in range(200):
            yield empty_chunk(*(Refusal("a", row, "1" * 19, "x" * 12, f"{number}: no label") for row in range(100)))

    tracemalloc.start()
    write(tmp_path, *[chunk])
    alone = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    dataset.write_dataset(tmp_path / "dataset.h5", tmp_path / "refused.csv", chunks(), source="test")
    many = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pd.read_csv(tmp_path / "refused.csv")) == 20_000
    assert dataset.read_attributes(tmp_path / "dataset.h5")["refused"] == 20_000
    assert many < alone + 1_000_000  # as objects they take 4 MB and more


def test_a_column_of_words_here_and_numbers_there_is_refused(tmp_path, chunk):
    words = chunk.catalogue.assign(candid=chunk.catalogue["candid"] + 1000, score="none")
    with pytest.raises(StudyError, match="column score: words in some chunks"):
        write(
            tmp_path,
            Chunk(chunk.catalogue.assign(score=0.5), chunk.metadata, chunk.stamps),
            Chunk(words, chunk.metadata, chunk.stamps),
        )


def test_damaged_files_are_refused(tmp_path, chunk):
    path = write(tmp_path, chunk)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match=r"dataset\.h5: (cannot be read|the file is truncated)"):
        dataset.open_stamps(path)
    path.write_text("no HDF5")
    with pytest.raises(StudyError, match="cannot be read as HDF5"):
        dataset.read_catalogue(path)
    with pytest.raises(StudyError, match="there is no such file"):
        dataset.read_catalogue(tmp_path / "absent.h5")
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(StudyError, match="format is 'something else'"):
        dataset.read_metadata(path)


def test_stamps_are_mapped_not_read(tmp_path):
    stamps = dataset.open_stamps(write(tmp_path, make_chunk(64, 16)))
    assert isinstance(stamps, np.memmap)
    assert not stamps.flags.writeable


def test_extra_columns_and_catalogue_files(tmp_path, chunk):
    extra = chunk.catalogue.assign(score_production=0.5, sample="night 1")
    path = write(tmp_path, Chunk(extra, chunk.metadata, chunk.stamps))
    catalogue = dataset.read_catalogue(path)
    dataset.write_catalogue(tmp_path / "catalogue.h5", catalogue, {"made_by": "test"})
    pd.testing.assert_frame_equal(dataset.read_catalogue(tmp_path / "catalogue.h5"), catalogue)
    assert len(METADATA_COLUMNS) == 25


def test_an_unknown_reader_is_named():
    with pytest.raises(StudyError, match=r"data\.source: 'lsst' is unknown"):
        reader("lsst")
