"""A run as ONNX: onnxruntime gives the network's scores, the file says what it takes, a wrong one is not left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from alertgrid import export
from alertgrid.__main__ import main
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.dataset import open_stamps, read_catalogue, read_metadata
from alertgrid.errors import StudyError
from alertgrid.export import write
from alertgrid.export.network import load_network
from alertgrid.files import read_json, write_json
from alertgrid.predictions import read_predictions
from alertgrid.training import Sources
from alertgrid.training.records import read_weights, write_weights
from toy_training import run_toy, write_toy


def train(study: Path, cell: str, **spec) -> Path:
    """Train a run where a study has it: {study}/runs/{cell}/f1/s1."""
    work = study / "work" / cell
    recipe = {"epochs": 8, "patience": 8, "learning_rate": 0.005}
    # As stored, the stamps of the toy are too faint for so few steps.
    models = {"input_normalisation": "imagenet"}
    run_toy((study / "dataset.h5", study / "catalogue.h5"), work, **{"recipe": recipe, "models": models, **spec})
    folder = study / "runs" / cell / "f1" / "s1"
    folder.parent.mkdir(parents=True)
    return Path(shutil.move(work / "out", folder))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One run of each kind of inputs, on two cutouts where there are stamps but for fusion."""
    folder = tmp_path_factory.mktemp("study")
    write_toy(folder)
    image = train(folder, "btsbot_cnn-none-image")
    metadata = train(folder, "metadata_net-none-metadata", inputs="metadata", architecture="metadata_net")
    train(folder, "btsbot_cnn-none-fusion", inputs="fusion", sources=Sources(None, image, metadata))
    train(folder, "btsbot_cnn-none-joint", inputs="joint")
    sigma = {"input_normalisation": "sigma3"}
    train(folder, "acero_cnn-none-image-difference", architecture="acero_cnn", stamps="difference", models=sigma)
    return folder


def run_of(study: Path, cell: str) -> Path:
    return study / "runs" / cell / "f1" / "s1"


CELLS = {
    "btsbot_cnn-none-image": ["stamps"],
    "metadata_net-none-metadata": ["metadata"],
    "btsbot_cnn-none-fusion": ["stamps", "metadata"],
    "btsbot_cnn-none-joint": ["stamps", "metadata"],
    "acero_cnn-none-image-difference": ["stamps"],
}


@pytest.mark.parametrize("cell", CELLS)
def test_the_file_scores_alerts_as_the_run_did(study, tmp_path, cell):
    found = export.export_run(run_of(study, cell), tmp_path / "out.onnx", rows=12)
    assert (found.rows, found.origin) == (12, "dataset")
    assert found.difference <= found.tolerance == 1e-4
    assert found.stored_difference < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    assert [given.name for given in session.get_inputs()] == CELLS[cell]
    # By hand, without this package's own check: all test alerts in one batch against the predictions.
    table = read_predictions(run_of(study, cell) / "predictions.h5").query("split == 'test'").set_index("candid")
    candid = read_catalogue(study / "dataset.h5")["candid"]
    rows = np.flatnonzero(candid.isin(table.index))
    channels = [2] if cell.endswith("difference") else [0, 1, 2]
    stamps = np.ascontiguousarray(open_stamps(study / "dataset.h5")[rows][:, channels], np.float32)
    feed = {"stamps": stamps, "metadata": read_metadata(study / "dataset.h5")[rows]}
    score = session.run(["score"], {name: feed[name] for name in CELLS[cell]})[0]
    np.testing.assert_allclose(score, table.loc[candid[rows], "score"], atol=1e-5)
    # Numbers that tell alerts apart, so that agreement means something.
    assert np.ptp(score) > 0.01


def test_the_file_says_what_it_takes(study, tmp_path):
    folder = run_of(study, "btsbot_cnn-none-fusion")
    export.export_run(folder, tmp_path / "out.onnx", rows=4)
    model = onnx.load(tmp_path / "out.onnx")
    said = {entry.key: entry.value for entry in model.metadata_props}
    record = read_json(folder / "run.json")
    assert said["alertgrid.cell"] == "btsbot_cnn-none-fusion"
    assert said["alertgrid.stamps_channels"] == "science,template,difference"
    assert said["alertgrid.metadata_columns"].split(",") == list(METADATA_COLUMNS)
    assert said["alertgrid.normalisation_inside"] == "imagenet"
    assert "L2 norm" in said["alertgrid.stamps_normalisation"]
    assert said["alertgrid.git_revision"] == record["git_revision"]
    assert len(said["alertgrid.weights_sha256"]) == 64
    check = json.loads(said["alertgrid.check"])
    assert check["rows"] == 4
    assert check["difference"] <= check["tolerance"]
    assert "onnxruntime" in said["alertgrid.exported_with"]
    shapes = {given.name: given.type.tensor_type.shape.dim for given in model.graph.input}
    assert [size.dim_value for size in shapes["stamps"]][1:] == [3, 63, 63]
    assert shapes["metadata"][0].dim_param  # any batch


@pytest.mark.parametrize("cell", ["acero_cnn-none-image-difference", "btsbot_cnn-none-joint"])
def test_without_the_dataset_random_inputs_are_taken(study, tmp_path, cell):
    found = export.export_run(run_of(study, cell), tmp_path / "out.onnx", dataset=tmp_path / "away.h5", rows=3)
    assert (found.origin, found.rows, found.stored_difference) == ("random", 3, None)


def test_rows_of_a_dataset_without_predictions(study, tmp_path):
    folder = shutil.copytree(run_of(study, "btsbot_cnn-none-image"), tmp_path / "run")
    (folder / "predictions.h5").unlink()
    found = export.export_run(folder, tmp_path / "out.onnx", dataset=study / "dataset.h5", rows=3)
    assert (found.origin, found.rows, found.stored_difference) == ("dataset", 3, None)


def test_a_file_that_fails_the_check_is_not_left(study, tmp_path, monkeypatch):
    output = tmp_path / "out.onnx"
    output.write_text("an earlier file")
    real = write._convert

    def convert_others(exported, inputs, path):
        with torch.no_grad():
            next(exported.parameters()).mul_(1.5)
        real(exported, inputs, path)

    monkeypatch.setattr(write, "_convert", convert_others)
    with pytest.raises(StudyError, match="onnxruntime differs from torch"):
        export.export_run(run_of(study, "btsbot_cnn-none-image"), output, rows=4)
    assert output.read_text() == "an earlier file"
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]


def test_weights_that_did_not_make_the_predictions_are_refused(study, tmp_path):
    folder = shutil.copytree(run_of(study, "btsbot_cnn-none-image"), tmp_path / "run")
    weights = read_weights(folder)
    weights["head.3.bias"] += 1
    write_weights(folder / "weights.safetensors", weights)
    with pytest.raises(StudyError, match=r"differ from predictions\.h5"):
        export.export_run(folder, tmp_path / "out.onnx", dataset=study / "dataset.h5", rows=3)
    assert not (tmp_path / "out.onnx").exists()


def test_outputs_that_are_no_numbers_fail(study, tmp_path):
    export.export_run(run_of(study, "metadata_net-none-metadata"), tmp_path / "out.onnx", rows=2)
    inputs = (torch.full((2, 25), torch.nan),)
    assert write.largest_difference(tmp_path / "out.onnx", ["metadata"], inputs, np.zeros(2)) == np.inf


def test_a_foreign_dataset_is_refused(study, tmp_path):
    folder = shutil.copytree(run_of(study, "btsbot_cnn-none-image"), tmp_path / "run")
    other, _ = write_toy(tmp_path)
    from alertgrid.predictions import write_predictions

    write_predictions(folder / "predictions.h5", np.array([7]), np.array(["test"]), np.array([0.5]), {})
    with pytest.raises(StudyError, match="holds no test alert of the run"):
        export.export_run(folder, tmp_path / "out.onnx", dataset=other)


def test_fusion_needs_the_runs_it_stands_on(study, tmp_path):
    copy = Path(shutil.copytree(study / "runs", tmp_path / "runs"))
    fusion, image = (copy / f"btsbot_cnn-none-{inputs}" / "f1" / "s1" for inputs in ("fusion", "image"))
    weights = read_weights(image)
    write_weights(image / "weights.safetensors", {name: value + 1 for name, value in weights.items()})
    with pytest.raises(StudyError, match="has changed since"):
        load_network(fusion)
    shutil.rmtree(image)
    with pytest.raises(StudyError, match="there is no such file"):
        load_network(fusion)


def test_weights_of_another_network_are_refused(study, tmp_path):
    folder = shutil.copytree(run_of(study, "btsbot_cnn-none-image"), tmp_path / "run")
    record = read_json(folder / "run.json")
    record["settings"]["models"]["cnn"]["channels"] = [4, 8]
    write_json(folder / "run.json", record)
    with pytest.raises(StudyError, match=r"weights\.safetensors"):
        load_network(folder)


def test_command(study, tmp_path, capsys):
    run = str(run_of(study, "metadata_net-none-metadata"))
    assert main(["export", run, str(tmp_path / "out.onnx"), "--rows", "5"]) == 0
    out = capsys.readouterr().out
    assert "on 5 alerts of the dataset" in out
    assert "run's own predictions" in out
    assert main(["export", run, str(tmp_path / "out.onnx"), "--dataset", str(tmp_path / "none.h5")]) == 0
    assert "random numbers" in capsys.readouterr().out
    assert main(["export", run, str(tmp_path / "none.onnx"), "--tolerance", "-1"]) == 1
    assert not (tmp_path / "none.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "inputs"), [("convnext_pico", "joint"), ("maxvit_tiny", "image")])
def test_the_architectures_of_the_study_export(tmp_path, architecture, inputs):
    write_toy(tmp_path, count=80)
    folder = train(tmp_path, f"{architecture}-none-{inputs}", architecture=architecture, inputs=inputs,
                   recipe={"epochs": 1, "patience": 1})  # fmt: skip
    found = export.export_run(folder, tmp_path / "out.onnx", rows=6)
    assert found.difference <= 1e-4
    assert found.stored_difference < 1e-3
