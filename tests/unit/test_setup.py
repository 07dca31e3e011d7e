"""What a run starts with: initial weights, the optimizer, a network that learns."""

import numpy as np
import pytest
import torch
from alertgrid.encoders import ENCODERS, build_encoder
from alertgrid.errors import StudyError
from alertgrid.models import build_model
from alertgrid.training import Recipe, RunSpec, Sources, setup
from alertgrid.training.randomness import own_randomness
from alertgrid.weights import write_encoder_folder
from toy_training import CPU, MODELS, Tiny, toy_feed, toy_learner


def test_compile_is_passed_on(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network, mode: asked.append(mode))
    data = type("Data", (), {"device": CPU})
    spec = RunSpec("metadata_net", "none", "metadata", fraction=1.0, seed=1)
    modes = ["default", "reduce-overhead"]
    learners = [setup.make_learner(Tiny(), toy_feed(), data, spec, Recipe(compile=mode)) for mode in modes]
    assert asked == modes
    assert [learner.graphs for learner in learners] == [False, True]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "maxvit_tiny")) for name in ENCODERS]
)
def test_every_encoder_lowers_a_toy_loss(name):
    rng = np.random.default_rng(0)
    labels = torch.tensor([0.0, 1.0] * 4)
    stamps = torch.from_numpy(rng.normal(0, 0.015, (8, 3, 63, 63)).astype(np.float32))
    stamps[1::2, 2, 29:34, 29:34] += 0.2
    models = {"head": {"widths": [32], "dropout": 0.0}, "cnn": {"dropouts": [0.0, 0.0], "dropout": 0.0}}
    network = build_model(name, "image", 3, models, seed=1)
    learner = toy_learner(network, channels_last=True)
    rate = 5e-3 if name == "btsbot_cnn" else 1e-3  # this one has no normalisation inside, so it starts slowly
    with own_randomness(CPU):
        losses = [float(learner.step((stamps, None), labels, step, rate)) for step in range(12)]
    assert losses[-1] < 0.95 * losses[0]


def test_encoder_weights_are_loaded(tmp_path):
    spec = RunSpec("resnet18", "galaxies", "image", fraction=1.0, seed=1)
    data = type("Data", (), {"device": CPU, "stamps": None, "channels": 3})
    encoder = build_encoder("resnet18")
    folder = tmp_path / "encoder"
    texts = {"origin": "test", "revision": "1", "licence": "none", "normalisation": "l2"}
    write_encoder_folder(folder, encoder.backbone.state_dict(), architecture="resnet18", trained_on=["noise"], **texts)
    sources = Sources(encoder=folder)
    assert sources.history()["label"] == "noise"
    assert Sources().history() == {"label": "random"}
    model = setup.initial_model(data, spec, Recipe(), MODELS, sources)
    for name, value in encoder.backbone.state_dict().items():
        assert torch.equal(value, model.encoder.backbone.state_dict()[name]), name
    assert set(Sources(encoder=folder).hashes()) == {"encoder"}
    with pytest.raises(StudyError, match="no such file"):
        Sources(encoder=tmp_path / "nowhere").hashes()
