"""Encoder folders: what is loaded is the file's, tensor by tensor; anything else is refused."""

import os

import pytest
import timm
import torch
from alertgrid import weights
from alertgrid.encoders import ENCODERS, build_encoder
from alertgrid.errors import StudyError
from alertgrid.models import build_model
from alertgrid.weights import local
from encoder_stand_in import TINY, network
from hub_stand_in import COMMIT
from safetensors.torch import load_file, save_file
from timm.models import adapt_input_conv

PRETRAINABLE = [spec for spec in ENCODERS.values() if spec.pretrainable]
FACTS = {"trained_on": ("ImageNet",), "licence": "apache-2.0", "normalisation": "[0, 1]"}


def write(folder, architecture, **changes):
    facts = {**FACTS, "origin": "hub:somebody/something", "revision": COMMIT, **changes}
    state = network(architecture, num_classes=0).state_dict()
    return state, weights.write_encoder_folder(folder, state, architecture=architecture, **facts)


@pytest.mark.parametrize("spec", PRETRAINABLE, ids=lambda spec: spec.name)
def test_loaded_tensors_are_the_files(spec, tmp_path):
    write(tmp_path, spec.timm_name)
    encoder = build_encoder(spec.name, input_size=224)
    manifest = weights.load_encoder_weights(encoder, tmp_path)
    stored, loaded = load_file(tmp_path / "model.safetensors"), encoder.backbone.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(stored[key], loaded[key]) for key in stored)
    assert (manifest["architecture"], manifest["label"]) == (spec.timm_name, "ImageNet")


def test_native_maxvit_gets_resized_relative_positions(tmp_path):
    state, _ = write(tmp_path, "maxvit_tiny_rw_224")
    encoder = build_encoder("maxvit_tiny")
    weights.load_encoder_weights(encoder, tmp_path)
    reference = timm.create_model(
        "maxvit_tiny_rw_224", pretrained=True, num_classes=0, img_size=64, pretrained_cfg_overlay={"state_dict": state}
    ).state_dict()
    loaded = encoder.backbone.state_dict()
    resized = [key for key in state if state[key].shape != loaded[key].shape]
    assert resized
    assert all(key.endswith("relative_position_bias_table") for key in resized)
    assert all(torch.equal(loaded[key], reference[key]) for key in loaded)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_fewer_or_more_cutouts_use_timms_adaptation(channels, tmp_path):
    state, _ = write(tmp_path, "convnext_pico")
    encoder = build_encoder("convnext_pico", channels)
    weights.load_encoder_weights(encoder, tmp_path)
    loaded = encoder.backbone.state_dict()
    assert torch.equal(loaded["stem.0.weight"], adapt_input_conv(channels, state["stem.0.weight"]))
    if channels == 2:
        torch.testing.assert_close(loaded["stem.0.weight"], state["stem.0.weight"][:, :2] * 1.5)
    assert all(torch.equal(loaded[key], state[key]) for key in state if key != "stem.0.weight")


def test_joint_fusion_leaves_out_only_the_norm_it_lacks(tmp_path):
    state, _ = write(tmp_path, "convnext_pico")
    encoder = build_model("convnext_pico", "fusion").encoder
    weights.load_encoder_weights(encoder, tmp_path)
    loaded = encoder.backbone.state_dict()
    assert set(state) - set(loaded) == {"head.norm.weight", "head.norm.bias"}
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


@pytest.mark.parametrize("size", [None, 64])
def test_timm_reads_the_folder_itself(size, tmp_path):
    options = {} if size is None else {"img_size": size}
    state = network("maxvit_tiny_rw_224", num_classes=0, **options).state_dict()
    umask = os.umask(0o022)
    weights.write_encoder_folder(
        tmp_path, state, architecture="maxvit_tiny_rw_224", origin="x", revision="y", image_size=size, **FACTS
    )
    os.umask(umask)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o044 == 0o044  # colleagues may read it
    found = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).state_dict()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_changed_file_is_refused(tmp_path):
    write(tmp_path, TINY)
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    encoder = build_encoder(TINY)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(StudyError, match="SHA-256"):
        weights.load_encoder_weights(encoder, tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "manifest.json"])
def test_an_incomplete_folder_says_how_to_fetch(name, tmp_path):
    write(tmp_path, TINY)
    (tmp_path / name).unlink()
    with pytest.raises(StudyError, match="snakemake fetch") as error:
        weights.load_encoder_weights(build_encoder(TINY), tmp_path)
    assert name in error.value.where


@pytest.mark.parametrize("name", ["convnext_pico", "btsbot_cnn"])
def test_another_architecture_is_refused(name, tmp_path):
    write(tmp_path, TINY)
    with pytest.raises(StudyError, match=TINY):
        weights.load_encoder_weights(build_encoder(name), tmp_path)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_incomplete_weights_never_fall_back_to_random_ones(change, tmp_path):
    state = dict(network(TINY, num_classes=0).state_dict())
    if change == "missing":
        del state["layer4.0.conv2.weight"]
    elif change == "unknown":
        state["layer5.weight"] = torch.zeros(1)
    else:
        state["layer4.0.conv2.weight"] = torch.zeros(1, 1, 3, 3)
    weights.write_encoder_folder(tmp_path, state, architecture=TINY, origin="x", revision="y", **FACTS)
    with pytest.raises(StudyError, match="1 keys"):
        weights.load_encoder_weights(build_encoder(TINY), tmp_path)


@pytest.mark.parametrize("value", [torch.zeros(3), [1, 2]])
def test_a_file_without_a_mapping_is_refused(value, tmp_path):
    torch.save(value, tmp_path / "weights.pth")
    with pytest.raises(StudyError, match="cannot be read"):
        weights.read_tensors(tmp_path / "weights.pth")


def test_wrappers_around_the_weights_are_taken_off(tmp_path):
    torch.save({"state_dict": {"module.a": torch.ones(2)}}, tmp_path / "weights.pth")
    assert list(weights.read_tensors(tmp_path / "weights.pth")) == ["a"]


@pytest.mark.parametrize("layout", ["file", "pickle", "folder"])
def test_local_weights(layout, tmp_path):
    state = network(TINY).state_dict()
    (tmp_path / "given").mkdir()
    path = tmp_path / "given" / ("model.safetensors" if layout != "pickle" else "weights.pth")
    save_file(state, path) if layout != "pickle" else torch.save(state, path)
    given = path.parent if layout == "folder" else path
    manifest = local.import_encoder(tmp_path / "encoder", given, architecture=TINY, trained_on=["my survey"])
    assert (manifest["origin"], manifest["label"]) == (f"local:{path.name}", "my survey")
    loaded = load_file(tmp_path / "encoder" / "model.safetensors")
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_an_encoder_folder_keeps_its_history(tmp_path):
    facts = {"origin": "hub:a/b", "revision": "c" * 40, "licence": "mit", "normalisation": "[0, 1]"}
    chain = ["ImageNet", "Galaxy Zoo"]
    write = {"architecture": TINY, "trained_on": chain, **facts}
    weights.write_encoder_folder(tmp_path / "given", encoder_weights(), **write)
    manifest = local.import_encoder(tmp_path / "encoder", tmp_path / "given", architecture=TINY)
    assert manifest["label"] == "ImageNet -> Galaxy Zoo"
    assert (manifest["origin"], manifest["imported_from"]) == ("hub:a/b", "local:given")
    with pytest.raises(StudyError, match="trained_on is"):
        local.import_encoder(tmp_path / "e", tmp_path / "given", architecture=TINY, trained_on=["Galaxy Zoo"])
    with pytest.raises(StudyError, match="architecture is"):
        local.import_encoder(tmp_path / "e", tmp_path / "given", architecture="resnet18")
    (tmp_path / "given" / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(StudyError, match="has SHA-256"):
        local.import_encoder(tmp_path / "e", tmp_path / "given", architecture=TINY)
    assert not (tmp_path / "e").exists()


def encoder_weights():
    """Weights of the tiny network without its classifier."""
    return weights.encoder_state(network(TINY).state_dict(), TINY, "here")


def test_local_weights_that_do_not_fit_or_say_nothing_are_refused(tmp_path):
    save_file(encoder_weights(), tmp_path / "model.safetensors")
    with pytest.raises(StudyError, match="does not say what it was trained on"):
        local.import_encoder(tmp_path / "e", tmp_path, architecture=TINY)
    with pytest.raises(StudyError, match="keys"):
        local.import_encoder(tmp_path / "e", tmp_path, architecture="resnet18", trained_on=["x"])
    (tmp_path / "config.json").write_text('{"architecture": "resnet18"}')
    with pytest.raises(StudyError, match="architecture is 'resnet18'"):
        local.import_encoder(tmp_path / "e", tmp_path, architecture=TINY, trained_on=["x"])
    assert not (tmp_path / "e").exists()


def test_an_absent_local_file_is_named(tmp_path):
    with pytest.raises(StudyError, match="nothing_here"):
        local.import_encoder(tmp_path / "e", tmp_path / "nothing_here", architecture=TINY, trained_on=["x"])
