"""Corpora for pre-training: what comes out is stamps, targets and a split; what does not fit is refused by name."""

import errno
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from alertgrid.corpora import corpus as corpus_module
from alertgrid.corpora import load_corpus
from alertgrid.corpora.corpus import draw_validation
from alertgrid.errors import StudyError
from alertgrid.files import sha256
from alertgrid.stamps import preprocess_cutouts
from PIL import Image


def norms(images):
    return np.linalg.norm(images.astype(np.float32), axis=(-2, -1))


def write_hdf5(path, count=20, **changes):
    """A corpus file as the simulator writes it."""
    generator = np.random.default_rng(0)
    images = preprocess_cutouts(generator.normal(size=(count, 3, 63, 63)))
    targets = np.stack([generator.normal(size=count), np.arange(count) % 2], axis=1).astype(np.float32)
    content = {"images": images, "targets": targets, **changes}
    with h5py.File(path, "w") as handle:
        handle["images"], handle["targets"] = content["images"], content["targets"]
        handle.attrs["targets"], handle.attrs["kinds"] = (
            ["bulge", "merger"],
            content.get("kinds", ["regression", "binary"]),
        )
    return images, targets


def test_hdf5_corpus(tmp_path):
    path = tmp_path / "galaxies.h5"
    images, targets = write_hdf5(path)
    corpus = load_corpus({"source": "hdf5", "file": path, "val_share": 0.25, "seed": 3})
    np.testing.assert_allclose(corpus.images, images, atol=3e-4)
    np.testing.assert_array_equal(corpus.targets, targets)
    assert (corpus.task.kind, corpus.task.targets) == ("regression", ("bulge", "merger"))
    assert corpus.task.kinds == ("regression", "binary")
    assert corpus.task.outputs == 2
    assert (corpus.split == "val").sum() == 5
    assert corpus.hashes == {"galaxies.h5": sha256(path)}


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.zeros((20, 3, 51, 51))},
        {"targets": np.zeros((19, 2))},
        {"targets": np.zeros((20, 3))},
        {"kinds": ["regression", "colour"]},
        {"kinds": ["regression"]},
        {"targets": np.full((20, 2), np.nan)},
    ],
)
def test_a_bad_hdf5_corpus_is_refused(changes, tmp_path):
    write_hdf5(tmp_path / "bad.h5", **changes)
    with pytest.raises(StudyError, match=r"bad\.h5"):
        load_corpus({"source": "hdf5", "file": tmp_path / "bad.h5"})


def test_an_unreadable_hdf5_corpus_is_refused(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(StudyError, match=r"broken\.h5"):
        load_corpus({"source": "hdf5", "file": tmp_path / "broken.h5"})
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(StudyError, match=r"empty\.h5"):
        load_corpus({"source": "hdf5", "file": tmp_path / "empty.h5"})


def test_a_large_corpus_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_hdf5(tmp_path / "galaxies.h5")
    for settings in ({"source": "hdf5", "file": tmp_path / "galaxies.h5"}, {**FRACTALS, "classes": 2}):
        corpus = load_corpus(settings)
        assert isinstance(corpus.images, np.memmap)
        assert corpus.images.dtype == np.float16
        assert list((tmp_path / "temporary").iterdir()) == []
        monkeypatch.setattr(corpus_module, "IN_MEMORY", 2**31)
        np.testing.assert_array_equal(corpus.images, load_corpus(settings).images)
        monkeypatch.setattr(corpus_module, "IN_MEMORY", 0)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StudyError, match="temporary: cannot be written: No space left on device"):
        load_corpus({"source": "hdf5", "file": tmp_path / "galaxies.h5"})


FRACTALS = {"source": "fractals", "images_per_class": 4, "seed": 1}


def picture(value, size=(80, 64)):
    """Red with `value`, a black border left and right that a central square cuts off."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, 8:-8] = (value, 40, 10)
    return Image.fromarray(pixels)


@pytest.fixture(params=["folder", "zip"])
def pictures(request, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = [f"{588848901530583233 + row}" for row in range(12)]
    for row, name in enumerate(names):
        picture(100 + row).save(folder / f"{name}.{'png' if row % 2 else 'jpg'}")
    table = pd.DataFrame({"objid": names, "kind": ["spiral", "edge", "blob"] * 4, "smooth": np.linspace(0, 1, 12)})
    table["odd"] = [0, 1] * 6
    table.to_csv(tmp_path / "labels.csv", index=False)
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"inside/{file.name}")
    path = folder if request.param == "folder" else tmp_path / "pictures.zip"
    return {"source": "images", "images": path, "labels": tmp_path / "labels.csv", "name_column": "objid"}


def test_pictures_become_stamps_with_classes(pictures):
    corpus = load_corpus({**pictures, "columns": ["kind"], "val_share": 0.25})
    assert corpus.images.shape == (12, 3, 63, 63)
    np.testing.assert_allclose(norms(corpus.images), 1, atol=1e-3)
    # Each channel is even over the square that was kept, so its pixels are 1/63.
    np.testing.assert_allclose(corpus.images[1], 1 / 63, atol=1e-3)
    assert corpus.task.classes == ("blob", "edge", "spiral")
    assert [corpus.task.classes[target] for target in corpus.targets] == ["spiral", "edge", "blob"] * 4
    for number in range(3):
        assert (corpus.split[corpus.targets == number] == "val").sum() == 1


def test_pictures_with_numbers(pictures):
    corpus = load_corpus({**pictures, "columns": ["smooth", "odd"]})
    assert corpus.task.kinds == ("regression", "binary")
    np.testing.assert_allclose(corpus.targets[:, 0], np.linspace(0, 1, 12), atol=1e-6)


def test_merged_classes_and_classes_left_alone(pictures):
    corpus = load_corpus({**pictures, "columns": ["kind"], "merge": {"edge": "spiral"}})
    assert corpus.task.classes == ("blob", "spiral")
    corpus = load_corpus({**pictures, "columns": ["kind"], "merge": {"blob": None}})
    assert corpus.task.classes == ("edge", "spiral")
    assert len(corpus.images) == 8


def test_a_given_split_is_kept(pictures):
    table = pd.read_csv(pictures["labels"])
    table["part"] = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    table.to_csv(pictures["labels"], index=False)
    corpus = load_corpus({**pictures, "columns": ["kind"], "split_column": "part"})
    assert corpus.split.tolist() == table["part"].tolist()


def test_the_crop_takes_the_centre():
    from alertgrid.corpora.pictures import _resize

    pixels = np.zeros((90, 90, 3), np.uint8)
    pixels[30:60, 30:60] = 255
    np.testing.assert_allclose(_resize(Image.fromarray(pixels), 1 / 3), 1)
    assert _resize(Image.fromarray(pixels), 1.0)[0, 0, 0] == 0
    assert _resize(Image.fromarray(pixels[..., 0]), 1.0).shape == (3, 63, 63)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"columns": ["colour"]}, "colour"),
        ({"columns": ["kind", "smooth"]}, "words"),
        ({"labels": "nowhere.csv"}, "nowhere"),
        ({"images": "nowhere.zip"}, "nowhere"),
    ],
)
def test_wrong_settings_of_pictures_are_named(pictures, change, text):
    with pytest.raises(StudyError, match=text):
        load_corpus({**pictures, "columns": ["kind"], **change})


def test_missing_pictures_and_labels_are_named(pictures, tmp_path):
    table = pd.read_csv(pictures["labels"], dtype={"objid": str})
    table.loc[3, "objid"] = "lost"
    table.to_csv(pictures["labels"], index=False)
    with pytest.raises(StudyError, match="row 5 of the labels"):
        load_corpus({**pictures, "columns": ["kind"]})
    table.loc[3, "kind"] = None
    table.to_csv(pictures["labels"], index=False)
    with pytest.raises(StudyError, match="row 5: has an empty label"):
        load_corpus({**pictures, "columns": ["kind"]})


def test_a_broken_picture_is_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    (tmp_path / "l.csv").write_text("name,kind\na,x\nb,y\n")
    settings = {"source": "images", "images": tmp_path, "labels": tmp_path / "l.csv", "name_column": "name"}
    with pytest.raises(StudyError, match="no readable picture"):
        load_corpus({**settings, "columns": ["kind"]})


def test_a_picture_cut_off_is_named_with_its_row_of_the_labels(pictures):
    table = pd.read_csv(pictures["labels"], dtype=str)
    table.loc[0, "kind"] = "left alone"  # rows that are left alone count too
    table.to_csv(pictures["labels"], index=False)
    name = f"{table.loc[4, 'objid']}.jpg"
    if pictures["images"].is_dir():
        path = pictures["images"] / name
        path.write_bytes(path.read_bytes()[:-200])
    else:
        with zipfile.ZipFile(pictures["images"]) as archive:
            content = {entry: archive.read(entry) for entry in archive.namelist()}
        with zipfile.ZipFile(pictures["images"], "w") as archive:
            for entry, data in content.items():
                archive.writestr(entry, data[:-200] if entry.endswith(name) else data)
    with pytest.raises(StudyError, match=rf"row 6 of the labels: .*{name}: is no readable picture \("):
        load_corpus({**pictures, "columns": ["kind"], "merge": {"left alone": None}})


def test_pictures_of_one_name_in_two_folders_are_told_apart_or_refused(tmp_path):
    for folder, value in (("a", 60), ("b", 200)):
        (tmp_path / "all" / folder).mkdir(parents=True)
        pixels = np.full((63, 63, 3), value, np.uint8)
        pixels[:10] = 0 if folder == "a" else 100
        Image.fromarray(pixels).save(tmp_path / "all" / folder / "1.png")
    labels = tmp_path / "l.csv"
    settings = {"source": "images", "images": tmp_path / "all", "labels": labels, "name_column": "name"}
    labels.write_text("name,kind,split\nb/1,x,train\na/1.png,y,val\n")
    corpus = load_corpus({**settings, "columns": ["kind"], "split_column": "split"})
    assert [bool((image[:, :9] == 0).all()) for image in corpus.images] == [False, True]
    labels.write_text("name,kind,split\n1,x,train\n1.png,y,val\n")
    with pytest.raises(StudyError, match=r"row 2 .* has 2 pictures '1': a/1\.png, b/1\.png"):
        load_corpus({**settings, "columns": ["kind"], "split_column": "split"})


@pytest.mark.parametrize(
    "settings",
    [{"source": "films"}, {"source": "fractals", "colours": 3}, {}, {"source": "fractals", "val_share": 0.0}],
)
def test_unknown_corpora_are_refused(settings):
    if settings.get("val_share") == 0.0:
        settings = {**settings, "classes": 2, "images_per_class": 1}
    with pytest.raises(StudyError):
        load_corpus(settings)


def test_validation_is_drawn_by_group():
    groups = np.array([0] * 50 + [1] * 10 + [2])
    split = draw_validation(groups, 0.1, 4)
    assert [(split[groups == k] == "val").sum() for k in range(3)] == [5, 1, 0]
    assert (split == draw_validation(groups, 0.1, 4)).all()
    assert (split != draw_validation(groups, 0.1, 5)).any()


@pytest.mark.real
@pytest.mark.skipif("ALERTGRID_DATA" not in os.environ, reason="ALERTGRID_DATA names no folder of real data")
def test_the_galaxy_zoo_subset():
    folder = Path(os.environ["ALERTGRID_DATA"]) / "galaxies"
    corpus = load_corpus(
        {
            "source": "images", "images": folder / "smallgz1_given.zip", "labels": folder / "smallgz1_given_labels.csv",
            "columns": ["class_name"], "name_column": "objid", "split_column": "split",
            "merge": {"spiral_clockwise": "spiral", "spiral_anticlockwise": "spiral", "dont_know": None},
        }
    )  # fmt: skip
    assert corpus.task.classes == ("edge_on", "elliptical", "merger", "spiral")
    assert len(corpus.images) == 4037 - 33
    np.testing.assert_allclose(norms(corpus.images), 1, atol=2e-3)
