"""One network at several input sizes in one study: `name@pixels` on the axis of architectures."""

from __future__ import annotations

import sys

import pytest
import torch
from alertgrid.encoders import build_encoder, check_architectures, encoder_spec, named_size
from alertgrid.errors import StudyError
from alertgrid.grid import expand_grid
from alertgrid.models.settings import resolve_settings
from alertgrid.plan.rates import sized
from alertgrid.settings.words import fits, own_settings
from alertgrid.tables.gather import Study, cells_of, pairs


def test_the_name_says_the_size_that_the_network_sees():
    native, larger = (build_encoder(name).eval() for name in ("test_convnext", "test_convnext@96"))
    larger.backbone.load_state_dict(native.backbone.state_dict())
    stamps = torch.rand(1, 3, 63, 63)
    resized = torch.nn.functional.interpolate(stamps, size=(96, 96), mode="bilinear", align_corners=False)
    with torch.no_grad():
        assert torch.equal(larger(stamps), native.backbone(resized))
    assert larger.spec.timm_name == "test_convnext"


def test_the_name_wins_over_the_size_of_the_study():
    settings = {"input_size": 128, "architectures": {"maxvit_tiny": {"input_size": 64}}}
    assert resolve_settings("maxvit_tiny@224", settings)["input_size"] == 224
    assert resolve_settings("maxvit_tiny", settings)["input_size"] == 64
    assert resolve_settings("convnext_pico", settings)["input_size"] == 128


def test_what_is_said_of_a_network_holds_at_every_size():
    plain, larger = {"head": {"widths": [64], "dropout": 0.5}}, {"head": {"dropout": 0.1}}
    sections = {"maxvit_tiny@224": larger, "maxvit_tiny": plain, "convnext_pico": {"input_size": 96}}
    models = {"architectures": sections}
    assert resolve_settings("maxvit_tiny@224", models)["head"] == {"widths": [64], "dropout": 0.1}
    assert resolve_settings("maxvit_tiny", models)["head"] == {"widths": [64], "dropout": 0.5}
    assert list(own_settings(models, "maxvit_tiny@224")) == ["maxvit_tiny", "maxvit_tiny@224"]
    assert list(own_settings(models, "maxvit_tiny")) == ["maxvit_tiny"]
    assert fits("maxvit_tiny-image", "maxvit_tiny@224-none-image")
    assert not fits("maxvit_tiny@224", "maxvit_tiny-none-image")


def test_seeds_of_a_network_hold_at_every_size():
    axes = {"pretraining": ["none"], "inputs": ["image"], "stamps": ["all"], "fractions": [1.0], "seeds": [0]}
    networks = ["maxvit_tiny", "maxvit_tiny@224", "maxvit_tiny@96"]
    grid = expand_grid(architectures=networks, seeds_of={"maxvit_tiny": [3], "maxvit_tiny@96": [4]}, **axes)
    assert grid["seed"].tolist() == [3, 3, 4]


def test_both_sizes_stand_side_by_side_and_are_compared():
    axes = {"pretraining": ["none"], "inputs": ["image"], "stamps": ["all"], "fractions": [1.0], "seeds": [0]}
    grid = expand_grid(architectures=["maxvit_tiny", "maxvit_tiny@224"], **axes)
    assert grid["cell"].tolist() == ["maxvit_tiny-none-image", "maxvit_tiny@224-none-image"]
    study = Study(cells_of(grid, []), {}, {})
    assert list(pairs(study, "btsbot_cnn")) == [("size", "maxvit_tiny@224-none-image", "maxvit_tiny-none-image")]


def test_the_plan_knows_the_network_by_its_size_once():
    assert sized("maxvit_tiny", 224) == sized("maxvit_tiny@224") == sized("maxvit_tiny@224", 224) == "maxvit_tiny@224"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("btsbot_cnn@96", "no other input size"),
        ("convnext_pico@big", "no number of pixels"),
        ("nowhere@96", "neither in"),
    ],
)
def test_a_size_that_cannot_be_is_refused(name, said):
    with pytest.raises(StudyError, match=said):
        encoder_spec(name)
    assert named_size("convnext_pico") == ("convnext_pico", None)


def test_unknown_architectures_are_named_with_their_neighbours():
    check_architectures(["btsbot_cnn", "convnext_pico", "test_convnext"], {})
    with pytest.raises(StudyError, match=r"'convnext_picco': is neither.*\n.*near: convnext_pico"):
        check_architectures(["convnext_picco"], {})


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("maxvit_tiny@100", {}),
        ("maxvit_tiny", {"architectures": {"maxvit_tiny": {"input_size": 100}}}),
        ("maxvit_tiny", {"input_size": 100}),
        ("maxvit_tiny@100", {"input_size": 64}),
    ],
)
def test_an_input_size_that_a_network_cannot_take_is_refused_before_any_job(name, models):
    with pytest.raises(StudyError, match=rf"'{name}' at 100 pixels: .*divisible by window"):
        check_architectures(["btsbot_cnn", name], models)


def test_sizes_that_fit_pass_and_those_that_are_known_need_no_torch(monkeypatch):
    check_architectures(["maxvit_tiny@96", "btsbot_cnn"], {"input_size": 100})
    monkeypatch.setitem(sys.modules, "alertgrid.models.backbones", None)
    sizes = {"convnext_pico": {"input_size": 63}, "maxvit_tiny": {"input_size": 224}}
    check_architectures(["maxvit_tiny", "maxvit_tiny@224", "convnext_pico", "resnet18"], {"architectures": sizes})
