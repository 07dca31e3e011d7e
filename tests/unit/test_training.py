"""Whole runs on toy alerts: what they leave, and that they repeat."""

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.dataset import read_catalogue
from alertgrid.errors import Interrupted
from alertgrid.files import read_json
from alertgrid.predictions import read_predictions
from alertgrid.training import Recipe, RunSpec, open_data, records, train_run
from toy_training import MODELS, RECIPE, run_toy, same_run, write_toy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def test_every_input_learns_and_leaves_a_whole_folder(files, tmp_path):
    networks = {"image": ("acero_cnn", 0.003), "metadata": ("metadata_net", 0.02), "joint": ("btsbot_cnn", 0.02)}
    for inputs, (architecture, rate) in networks.items():
        folder = tmp_path / inputs
        recipe = {"epochs": 4, "learning_rate": rate, "warmup_epochs": 0}
        record = run_toy(files, folder, inputs=inputs, architecture=architecture, recipe=recipe)
        names = {path.name for path in (folder / "out").iterdir()}
        assert names == {"weights.safetensors", "last.safetensors", "history.csv", "predictions.h5", "run.json"}
        history = pd.read_csv(folder / "out" / "history.csv")
        assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
        assert record["val_auc"] > 0.8
        assert tuple(history.columns) == records.HISTORY_COLUMNS
        assert record == read_json(folder / "out" / "run.json")
        assert record["cell"] == f"{architecture}-none-{inputs}"
        assert [path.name for path in (folder / "checkpoints").iterdir()] == ["finished"]
        predictions = read_predictions(folder / "out" / "predictions.h5")
        assert len(predictions) == record["n_val_alerts"] + (read_catalogue(files[1])["split"] == "test").sum()


def test_a_run_repeats_bit_for_bit_and_seeds_differ(files, tmp_path):
    recipe = {"epochs": 2, "precision": "fp32"}
    state = torch.get_rng_state()
    run_toy(files, tmp_path / "a", recipe=recipe)
    assert torch.equal(state, torch.get_rng_state())
    run_toy(files, tmp_path / "b", recipe={**recipe, "resident": "no", "checkpoint_minutes": 0.0})
    same_run(tmp_path / "a" / "out", tmp_path / "b" / "out")
    run_toy(files, tmp_path / "c", recipe=recipe, seed=2)
    weights = [(tmp_path / name / "out" / "weights.safetensors").read_bytes() for name in "ac"]
    assert weights[0] != weights[1]


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_run_leaves_the_same_files(files, tmp_path, monkeypatch, mode):
    whole, asked = torch.nn.Module.compile, []

    def capture(network, mode):
        # What torch.compile makes of the network is run without a compiler, and so in the same arithmetic.
        asked.append(mode)
        whole(network, backend="eager")

    options = {"inputs": "metadata", "architecture": "metadata_net"}
    run_toy(files, tmp_path / "plain", **options)
    monkeypatch.setattr(torch.nn.Module, "compile", capture)
    torch.compiler.reset()
    run_toy(files, tmp_path / "compiled", recipe={"compile": mode}, **options)
    assert asked == [mode]
    same_run(tmp_path / "plain" / "out", tmp_path / "compiled" / "out")


@pytest.mark.slow
def test_a_compiler_changes_no_more_than_the_rounding(files, tmp_path):
    options = {"inputs": "metadata", "architecture": "metadata_net", "models": {"metadata": {"dropout": 0.0}}}
    for mode in ("no", "reduce-overhead"):
        torch.compiler.reset()
        run_toy(files, tmp_path / mode, recipe={"compile": mode, "epochs": 2}, **options)
    plain, compiled = (pd.read_csv(tmp_path / mode / "out" / "history.csv") for mode in ("no", "reduce-overhead"))
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(compiled[column], plain[column], rtol=1e-5)


def test_runs_may_share_the_data(files, tmp_path):
    recipe = Recipe.parse({**RECIPE, "epochs": 1})
    specs = [
        RunSpec("btsbot_cnn", "none", "image", fraction=0.5, seed=1),
        RunSpec("metadata_net", "none", "metadata", fraction=1.0, seed=1),
    ]
    data = open_data(*files, specs, recipe=recipe, device="cpu")
    for number, spec in enumerate(specs):
        folder = tmp_path / str(number)
        options = {"recipe": recipe, "models": MODELS, "threads": 1}
        train_run(data, spec, output=folder / "out", checkpoints=folder / "checkpoints", **options)
        alone = {"inputs": spec.inputs, "architecture": spec.architecture, "fraction": spec.fraction}
        run_toy(files, tmp_path / f"alone{number}", recipe={"epochs": 1}, **alone)
        same_run(folder / "out", tmp_path / f"alone{number}" / "out")


def test_a_run_that_goes_on_in_another_precision_records_it(files, tmp_path, monkeypatch):
    options = {"inputs": "metadata", "architecture": "metadata_net", "recipe": {"checkpoint_minutes": 0.0}}
    with pytest.raises(Interrupted):
        run_toy(files, tmp_path, deadline=1.0, **options)
    monkeypatch.setattr("alertgrid.training.setup.choose_precision", lambda *given: "bf16")  # as another GPU has it
    record = run_toy(files, tmp_path, **options)
    assert (record["resumed"], record["precision"], record["precision_changed"]) == (1, "bf16", True)
    whole = run_toy(files, tmp_path / "whole", **options)
    assert (whole["precision"], whole["precision_changed"]) == ("bf16", False)


def test_permuted_run_trains_on_other_labels(files, tmp_path):
    record = run_toy(files, tmp_path, inputs="metadata", architecture="metadata_net", labels="permuted")
    assert record["cell"] == "metadata_net-none-metadata-permuted"
    assert record["labels"] == "permuted"


def test_small_fraction_says_that_a_batch_is_not_full(files, tmp_path, capsys):
    recipe = {"batch_size": 512, "epochs": 1}
    run_toy(files, tmp_path, inputs="metadata", architecture="metadata_net", recipe=recipe)
    assert "less than a batch; kept whole" in capsys.readouterr().err


def test_stamp_sets_change_the_network(files, tmp_path):
    record = run_toy(files, tmp_path, stamps="difference", recipe={"epochs": 1})
    assert record["cell"] == "btsbot_cnn-none-image-difference"
    assert record["settings"]["channels"] == [2]
