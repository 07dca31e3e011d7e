"""The reader of the Dark Energy Survey's stamps."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from alertgrid import figures
from alertgrid.columns import CATALOGUE_COLUMNS, METADATA_COLUMNS
from alertgrid.dataset import read_catalogue, write_catalogue, write_dataset
from alertgrid.errors import StudyError
from alertgrid.grid import expand_grid
from alertgrid.sources import des
from alertgrid.splits import assign_splits
from alertgrid.tables import write_tables
from toy_training import run_toy


def write(folder, count=5, **arrays):
    rng = np.random.default_rng(1)
    arrays = {
        "triplets": rng.integers(1, 255, (count, 51, 51, 3)).astype(np.uint8),
        "artifact": np.arange(count) % 2,
    } | arrays
    np.savez(folder / "des.npz", **arrays)
    return str(folder / "des.npz"), arrays


def store(file, folder):
    """The dataset and the catalogue with splits."""
    dataset, catalogue = folder / "dataset.h5", folder / "catalogue.h5"
    write_dataset(dataset, folder / "refused.csv", des.read(file=file), source="des")
    write_catalogue(catalogue, assign_splits(read_catalogue(dataset), policy="redraw", shares=(0.6, 0.2, 0.2)))
    return dataset, catalogue


def test_stamps_are_reordered_normalised_and_padded(tmp_path, monkeypatch):
    monkeypatch.setattr(des, "BLOCK", 3)
    file, arrays = write(tmp_path)
    chunks = list(des.read(file=file))
    assert [len(chunk.catalogue) for chunk in chunks] == [3, 2]
    stamps = np.concatenate([chunk.stamps for chunk in chunks])
    search = arrays["triplets"][4, :, :, 1].astype(float)
    np.testing.assert_allclose(stamps[4, 0, :51, :51], search / np.linalg.norm(search), rtol=1e-6)
    assert (stamps[:, :, 51:] == np.float32(1e-9)).all()
    catalogue = pd.concat([chunk.catalogue for chunk in chunks])
    assert set(catalogue) == set(CATALOGUE_COLUMNS)
    assert catalogue["label"].tolist() == [1, 0, 1, 0, 1]
    assert catalogue["objectId"].nunique() == 5
    assert chunks[0].metadata.shape == (3, len(METADATA_COLUMNS))
    assert (chunks[0].metadata == -999).all()
    assert des.inputs(file=file)[0].name == "des.npz"


@pytest.mark.slow
def test_a_study_of_stamps_alone_goes_from_alerts_to_figures(tmp_path):
    rng, artifact = np.random.default_rng(0), np.arange(120) % 2
    triplets = rng.integers(90, 140, (120, 51, 51, 3)).astype(np.uint8)
    triplets[artifact == 0, 23:28, 23:28, 2] = 250
    file, _ = write(tmp_path, triplets=triplets, artifact=artifact)
    files = store(file, tmp_path)
    grid = expand_grid(
        architectures=["btsbot_cnn"], pretraining=["none"], inputs=["image"], fractions=[1.0], seeds=[0, 1]
    )
    grid.to_csv(tmp_path / "grid.csv", index=False)
    for run, seed in zip(grid["run"], grid["seed"], strict=True):
        run_toy(files, tmp_path / "work" / str(seed), seed=int(seed))
        shutil.copytree(tmp_path / "work" / str(seed) / "out", tmp_path / "runs" / run)
    places = {"catalogue": files[1], "grid": tmp_path / "grid.csv", "runs": tmp_path / "runs"}
    tables = write_tables(**places, output=tmp_path / "tables", dataset=files[0], refused=tmp_path / "refused.csv")
    assert tables["missing"].empty
    assert tables["performance"].query("metric == 'roc_auc'")["estimate"].between(0, 1).all()
    captions = figures.write_figures(tmp_path / "tables", tmp_path / "figures", catalogue=files[1])
    assert {"performance", "dataset_counts"} <= set(captions["figures"])
    assert captions["skipped"]["dataset_magnitudes"] == "no alert has a magnitude"


def test_figures_that_need_magnitudes_are_skipped_with_a_reason(tmp_path):
    file, _ = write(tmp_path, 40)
    (tmp_path / "tables").mkdir()
    captions = figures.write_figures(tmp_path / "tables", tmp_path / "figures", catalogue=store(file, tmp_path)[1])
    assert captions["skipped"]["dataset_magnitudes"] == "no alert has a magnitude"
    assert "dataset_counts" in captions["figures"]


def test_blank_cutouts_are_refused(tmp_path):
    triplets = np.ones((3, 51, 51, 3), np.uint8)
    triplets[1, :, :, 0] = 0
    file, _ = write(tmp_path, 3, triplets=triplets)
    (chunk,) = des.read(file=file)
    assert chunk.catalogue["candid"].tolist() == [0, 2]
    assert [(refusal.row, refusal.reason) for refusal in chunk.refused] == [(1, "template cutout is all zero")]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"artifact": np.array([0, 1, 2, 0, 0])}, "row 2 counted from 0: artifact is 2"),
        ({"artifact": np.zeros(4)}, r"artifact of shape \(4,\)"),
        ({"triplets": np.ones((5, 51, 51))}, r"triplets of shape \(5, 51, 51\)"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, arrays, message):
    file, _ = write(tmp_path, **arrays)
    with pytest.raises(StudyError, match=message):
        des.read(file=file)


def test_missing_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(StudyError, match=r"none\.npz: cannot be read"):
        des.read(file=str(tmp_path / "none.npz"))
    file, _ = write(tmp_path)
    path = tmp_path / "des.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StudyError, match=r"des\.npz: cannot be read"):
        des.read(file=file)


@pytest.mark.real
def test_the_real_file_reaches_the_dataset(real_data, tmp_path):
    file = str(real_data / "des" / "des_autoscan_10.npz")
    (chunk,) = des.read(file=file)
    assert write_dataset(tmp_path / "d.h5", tmp_path / "refused.csv", [chunk], source="des") == 10
    assert read_catalogue(tmp_path / "d.h5")["label"].tolist() == [0, 1, 0, 0, 0, 1, 1, 0, 1, 0]
    # Science minus template resembles the difference, which tells the order of the channels (corner marks left out).
    science, template, difference = (
        np.load(file)["triplets"][:, 10:41, 10:41].astype(float).transpose(3, 0, 1, 2)[[1, 0, 2]]
    )
    agreement = [
        np.corrcoef((s - t).ravel(), d.ravel())[0, 1] for s, t, d in zip(science, template, difference, strict=True)
    ]
    assert np.median(agreement) > 0.3
