"""Pre-training: it learns, its folder starts a network, it repeats itself and continues where it stopped."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.__main__ import main
from alertgrid.corpora import Corpus, Task
from alertgrid.corpora.corpus import draw_validation
from alertgrid.encoders import build_encoder
from alertgrid.errors import StudyError
from alertgrid.files import read_json
from alertgrid.models import build_model, resolve_settings
from alertgrid.pretraining import Objective, headline, pretrain
from alertgrid.pretraining.run import _Plan
from alertgrid.stamps import preprocess_cutouts
from alertgrid.training.interrupts import Interrupted, Watch
from alertgrid.training.recipe import Recipe
from alertgrid.weights import load_encoder_weights
from safetensors.torch import load_file

NETWORK = "test_convnext"  # timm's smallest; 0.27 million parameters
RECIPE = Recipe(epochs=6, batch_size=8, learning_rate=1e-3, warmup_epochs=1, precision="fp32", min_improvement=0.0)


def blobs(count=96, seed=0):
    """Blobs of different widths and heights: a number and a yes or no."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-31:32, -31:32]
    width = generator.uniform(3, 9, count)
    ring = np.arange(count) % 2
    radius = np.hypot(x, y)[None] / width[:, None, None]
    images = np.exp(-((radius - 2.5 * ring[:, None, None]) ** 2) / 2) + generator.normal(0, 0.02, (count, 63, 63))
    stamps = preprocess_cutouts(np.repeat(images[:, None], 3, axis=1)).astype(np.float16)
    return stamps, width, ring


def regression(seed=0):
    stamps, width, ring = blobs(seed=seed)
    targets = np.stack([100 + 7 * width, ring], axis=1).astype(np.float32)
    task = Task("regression", ("width", "ring"), ("regression", "binary"))
    return Corpus("blobs", stamps, targets, draw_validation(ring, 0.25, 0), task, "MIT", {"blobs.h5": "0" * 64})


def classification():
    stamps, _, ring = blobs()
    task = Task("classification", ("ring",), ("classes",), ("blob", "ring"))
    return Corpus("rings", stamps, ring, draw_validation(ring, 0.25, 0), task, "MIT")


def run(folder, corpus=None, **options):
    options = {"recipe": RECIPE, "threads": 1, "device": "cpu", **options}
    corpus = corpus or regression()
    return pretrain(corpus, NETWORK, folder / "encoder", folder / "checkpoints", **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(folder)


def test_images_that_do_not_fit_give_the_same_encoder_from_where_they_lie(finished, tmp_path, monkeypatch):
    corpus = regression()
    monkeypatch.setattr("alertgrid.pretraining.run.available_memory", lambda device: 0)
    plan = _Plan(corpus, NETWORK, None, resolve_settings(NETWORK, {}), RECIPE, 0)
    feed = plan.feed("train", torch.device("cpu"))
    assert feed.image.values.data_ptr() == corpus.images.ctypes.data
    run(tmp_path, corpus)
    there, here = (load_file(folder / "encoder" / "model.safetensors") for folder in (finished[0], tmp_path))
    assert all(torch.equal(there[name], here[name]) for name in there)


def test_the_folder_is_complete_and_says_what_it_is(finished):
    folder, manifest = finished
    names = {"model.safetensors", "config.json", "manifest.json", "history.csv", "scores.csv"}
    assert {path.name for path in (folder / "encoder").iterdir()} == names
    assert not list((folder / "checkpoints").glob("*.ckpt"))
    assert read_json(folder / "encoder" / "manifest.json") == manifest
    assert (manifest["label"], manifest["origin"]) == ("blobs", "pretraining:blobs")
    assert (manifest["architecture"], manifest["start"]) == (NETWORK, None)
    assert (manifest["n_train"], manifest["n_val"], manifest["epochs"]) == (72, 24, 6)
    assert manifest["input_normalisation"] == "l2 on unit-norm stamps, 3 channels, 63 pixels"
    assert manifest["input_hashes"] == {"blobs.h5": "0" * 64}


def test_it_learns(finished):
    folder, manifest = finished
    history = pd.read_csv(folder / "encoder" / "history.csv")
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    scores = pd.read_csv(folder / "encoder" / "scores.csv")
    assert scores[["target", "metric", "n"]].values.tolist() == [["width", "r2", 24], ["ring", "roc_auc", 24]]
    assert scores["value"].iloc[1] > 0.9
    assert manifest["val_score"] == pytest.approx(scores["value"].mean())
    assert manifest["val_score"] == pytest.approx(history.loc[history["best"] == 1, "val_score"].iloc[-1], abs=1e-6)


def test_an_encoder_starts_from_it(finished):
    folder, _ = finished
    model = build_model(NETWORK, "image", 2)
    load_encoder_weights(model.encoder, folder / "encoder")
    stored, loaded = load_file(folder / "encoder" / "model.safetensors"), model.encoder.backbone.state_dict()
    assert all(torch.equal(stored[key], loaded[key]) for key in stored if stored[key].shape == loaded[key].shape)


def test_the_weights_moved_from_their_beginning(finished):
    folder, _ = finished
    stored = load_file(folder / "encoder" / "model.safetensors")
    fresh = build_encoder(NETWORK).backbone.state_dict()
    assert stored.keys() == fresh.keys()
    assert not torch.equal(stored["stem.0.weight"], fresh["stem.0.weight"])


def test_the_same_seed_gives_the_same_bytes(finished, tmp_path):
    _, manifest = finished
    assert run(tmp_path)["sha256"] == manifest["sha256"]
    assert run(tmp_path / "other", seed=1)["sha256"] != manifest["sha256"]


def test_stopped_and_continued_equals_uninterrupted(finished, tmp_path, monkeypatch):
    _, manifest = finished
    looks = iter([None] * 7)
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "reason", lambda self: next(looks, "enough"))
        with pytest.raises(Interrupted):
            run(tmp_path)
    assert not (tmp_path / "encoder" / "manifest.json").exists()
    continued = run(tmp_path)
    assert continued["resumed"] == 1
    assert continued["sha256"] == manifest["sha256"]


def test_other_images_or_other_code_do_not_continue_the_same_checkpoint(tmp_path, monkeypatch):
    def begin(folder):
        looks = iter([None] * 7)
        with monkeypatch.context() as patch:
            patch.setattr(Watch, "reason", lambda self: next(looks, "enough"))
            with pytest.raises(Interrupted):
                run(folder, code="old")
        return folder

    assert run(begin(tmp_path / "images"), regression(seed=1), code="old")["resumed"] == 0
    assert run(begin(tmp_path / "code"), code="new")["resumed"] == 0


def test_a_chain_is_labelled_by_all_its_links(finished, tmp_path):
    folder, first = finished
    # A learning rate too small to change a weight shows what the second link started from.
    still = Recipe(epochs=1, batch_size=16, learning_rate=1e-30, weight_decay=0.0, precision="fp32")
    manifest = run(tmp_path, classification(), start=folder / "encoder", recipe=still)
    assert manifest["label"] == "blobs -> rings"
    assert manifest["start"]["sha256"] == first["sha256"]
    before, after = (load_file(path / "encoder" / "model.safetensors") for path in (folder, tmp_path))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_classes_are_scored_by_balanced_accuracy(tmp_path):
    manifest = run(tmp_path, classification())
    scores = pd.read_csv(tmp_path / "encoder" / "scores.csv")
    assert scores["metric"].tolist() == ["balanced_accuracy", "accuracy"]
    assert manifest["val_score"] == pytest.approx(scores["value"].iloc[0])
    assert manifest["val_score"] > 0.8
    assert manifest["val_metric"] == "balanced_accuracy"


def test_a_network_made_for_another_size_says_so(tmp_path):
    recipe = Recipe(epochs=1, batch_size=16, precision="fp32")
    options = {"recipe": recipe, "threads": 1, "device": "cpu", "models": {"input_size": 32}}
    pretrain(classification(), "test_vit", tmp_path / "encoder", tmp_path / "checkpoints", **options)
    assert read_json(tmp_path / "encoder" / "config.json")["model_args"] == {"img_size": 32}
    # Its position embedding is resized when another study uses it at timm's own size.
    load_encoder_weights(build_encoder("test_vit"), tmp_path / "encoder")


def test_networks_without_initial_weights_are_refused(tmp_path):
    with pytest.raises(StudyError, match="takes no initial weights"):
        pretrain(classification(), "btsbot_cnn", tmp_path / "encoder", tmp_path / "checkpoints")


def test_a_start_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StudyError, match="complete encoder folder"):
        run(tmp_path, start=tmp_path / "nowhere")


def test_losses_are_means_over_scaled_targets():
    corpus = regression()
    objective = Objective.of(corpus)
    scaled = objective.scale(corpus.targets[corpus.split == "train"])
    np.testing.assert_allclose(scaled[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[:, 0].std(), 1, atol=1e-5)
    assert set(scaled[:, 1]) == {0.0, 1.0}
    outputs = torch.tensor([[0.5, 2.0], [-1.0, 0.0]])
    targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    expected = [(0.25 + np.log1p(np.exp(-2))) / 2, (4 + np.log(2)) / 2]
    np.testing.assert_allclose(objective.losses(outputs, targets), expected, rtol=1e-6)


def test_a_target_of_one_value_has_no_score_and_does_not_count():
    objective = Objective.of(regression())
    outputs = np.array([[1.0, 0.1], [2.0, 0.2]])
    scores = objective.scores(outputs, np.array([[1.0, 1.0], [2.0, 1.0]]))
    assert np.isnan(scores["value"].iloc[1])
    assert headline(scores) == 1.0


def test_the_command_pretrains_on_fractals(tmp_path, capsys):
    corpus = json.dumps({"source": "fractals", "classes": 2, "images_per_class": 8})
    recipe = json.dumps({"epochs": 1, "batch_size": 8, "precision": "fp32"})
    arguments = ["pretrain", "--architecture", NETWORK, "--corpus", corpus, "--training", recipe, "--device", "cpu"]
    arguments += ["--output", str(tmp_path / "encoder"), "--checkpoints", str(tmp_path / "checkpoints"), "--seed", "2"]
    assert main([*arguments, "--code", "1"]) == 0
    assert f"{NETWORK} on fractals: balanced_accuracy" in capsys.readouterr().out
    assert read_json(tmp_path / "encoder" / "manifest.json")["seed"] == 2


def test_several_devices_are_refused_before_the_corpus_is_read(tmp_path, capsys):
    corpus = json.dumps({"source": "nowhere"})
    arguments = ["pretrain", "--architecture", NETWORK, "--corpus", corpus, "--machine", "devices=4"]
    assert main([*arguments, "--output", str(tmp_path / "encoder"), "--checkpoints", str(tmp_path)]) == 1
    assert "--machine devices=4: rule pretrain uses one" in capsys.readouterr().err
    with pytest.raises(StudyError, match="devices=2"):
        run(tmp_path, recipe=Recipe(devices=2))
