"""Pictures and labels that would teach a network nothing, or the wrong thing: read as meant, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from alertgrid.corpora import load_corpus
from alertgrid.errors import StudyError
from PIL import Image

SLOPE = np.add.outer(np.arange(64), np.zeros(64))
TABLE = "name,kind,number\na,x,1\nb,y,2\nc,x,3\nd,y,4\n"


def read(folder, table=TABLE, **settings):
    """The corpus of four pictures; those that are there already stay as they are."""
    for name in "abcd":
        if not list(folder.glob(f"{name}.*")):
            Image.fromarray((4 * SLOPE).astype(np.uint8)).save(folder / f"{name}.png")
    (folder / "labels.csv").write_text(table)
    settings = {"columns": ["kind"], "name_column": "name", "labels": folder / "labels.csv"} | settings
    return load_corpus({"source": "images", "images": folder, **settings})


@pytest.mark.parametrize(
    ("pixels", "ending"),
    [
        ((SLOPE * 1000).astype(np.uint16), "png"),
        ((SLOPE * 1000).astype(np.int32), "tif"),
        ((SLOPE / 100).astype(np.float32), "tif"),
        ((SLOPE * 1e6 - 5e6).astype(np.float32), "tif"),
    ],
)
def test_pictures_of_many_bits_keep_their_shapes(tmp_path, pixels, ending):
    Image.fromarray(pixels).save(tmp_path / f"a.{ending}")
    images = read(tmp_path).images.astype(float)
    np.testing.assert_allclose(images[0], images[1], atol=1e-4)
    assert np.ptp(images[0]) > 0.02


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_picture_of_nothing_is_named(tmp_path, kind):
    Image.fromarray(np.full((64, 64), 7, kind)).save(tmp_path / "c.tif")
    with pytest.raises(StudyError, match=r"row 4 of the labels: c\.tif: is the same everywhere"):
        read(tmp_path)


def test_a_picture_with_gaps_is_named(tmp_path):
    pixels = SLOPE.astype(np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(tmp_path / "b.tif")
    with pytest.raises(StudyError, match=r"row 3 of the labels: b\.tif: holds NaN"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        (TABLE, {"merge": {"z": "x"}}, r"no class 'z' of corpus\.merge(?s:.*)\['x', 'y'\]"),
        (TABLE.replace("x", "spiral"), {"merge": {"spirl": None}}, "did you mean 'spiral'"),
        (TABLE, {"merge": {"x": "y"}}, "kind holds 1 classes to tell apart: y"),
        (TABLE, {"merge": {"x": None, "y": None}}, "kind holds 0 classes"),
        (TABLE.replace("4\n", "inf\n"), {"columns": ["number", "number"]}, r"row 5: holds \[inf, inf\]"),
        (TABLE + "a.png,x,5\n", {}, r"row 6 of the labels: a\.png is the picture of row 2 too"),
    ],
)
def test_labels_that_teach_nothing_are_refused(tmp_path, table, settings, message):
    with pytest.raises(StudyError, match=message):
        read(tmp_path, table, **settings)


def test_one_picture_in_both_splits_is_refused(tmp_path):
    table = "name,kind,part\na,x,train\nb,y,train\nc,y,val\na,x,val\n"
    with pytest.raises(StudyError, match=r"row 5 of the labels: a\.png is the picture of row 2 too"):
        read(tmp_path, table, split_column="part")
