"""Released BTSbot models: state dicts with upstream's names and shapes, built here from its description.

The plain re-computation uses timm's network and torch's functions directly on the upstream state dict, none of our
modules.
"""

import json

import pytest
import timm
import torch
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.errors import StudyError
from alertgrid.models import FusionModel
from alertgrid.weights import hub, pins, published
from published_models import CASES, CNN, COMBINED, CONVNEXT, META, Writer, fusion, put, upstream, upstream_image
from torch.nn import functional


def stamps():
    return torch.rand(2, 3, 63, 63, generator=torch.Generator().manual_seed(0)) / 30


def metadata():
    return torch.rand(2, 25, generator=torch.Generator().manual_seed(1)) * 20 - 5


def linear(state, name, values):
    return functional.linear(values, state[f"{name}.weight"], state[f"{name}.bias"])


def plain_dense(state, name, indices, values, activation):
    for index in indices[:-1]:
        values = activation(linear(state, f"{name}.{index}", values))
    return linear(state, f"{name}.{indices[-1]}", values).squeeze(-1)


def plain_image(config, state, prefix=""):
    """Embedding by plain functions, and how the head goes on."""
    values = stamps()
    if config["model_name"] == "um_cnn":
        for index in (0, 2, 6, 8):
            name = f"{prefix}conv_layers.{index}"
            values = functional.relu(
                functional.conv2d(values, state[f"{name}.weight"], state[f"{name}.bias"], padding="same")
            )
            if index in (2, 8):
                values = functional.max_pool2d(values, 2 if index == 2 else 4)
        return values.flatten(1), "head", (0, 2, 5), functional.relu
    convnext = config["model_name"] == "ConvNeXt"
    name = f"{prefix}{'convnext' if convnext else 'maxvit'}."
    network = timm.create_model("convnext_pico" if convnext else "maxvit_tiny_rw_224", pretrained=False).eval()
    trunk = {k.removeprefix(name): v for k, v in state.items() if k.startswith(name) and ".head." not in k}
    assert not [k for k in network.load_state_dict(trunk, strict=False).missing_keys if not k.startswith("head.")]
    if not convnext:
        values = functional.interpolate(values, size=(224, 224), mode="bilinear", align_corners=False)
    pooled = network.forward_features(values).mean(dim=(2, 3))
    if not convnext:
        return pooled, "maxvit.head", (1, 3, 6), functional.gelu
    norm = f"{name}head.1."
    embedding = functional.layer_norm(pooled, (512,), state[norm + "weight"], state[norm + "bias"], 1e-6)
    return embedding, "convnext.head", (3, 5, 8), functional.gelu


def plain_metadata(state, prefix=""):
    name = f"{prefix}network.0."
    values = functional.batch_norm(
        metadata(), *(state[name + part] for part in ("running_mean", "running_var", "weight", "bias"))
    )
    return linear(state, f"{prefix}network.4", functional.relu(linear(state, f"{prefix}network.1", values)))


def plain(config, state):
    if config["model_name"] == "um_nn":
        return linear(state, "network.6", functional.relu(plain_metadata(state))).squeeze(-1)
    if config["model_name"] == "frozen_fusion":
        image = plain_image(config["image_model_config"], state, "image_branch.")[0]
        both = torch.cat((image, plain_metadata(state, "meta_branch.")), dim=1)
        return plain_dense(state, "combined_head", (0, 2, 5), both, functional.relu)
    values, name, indices, activation = plain_image(config, state)
    return plain_dense(state, name, indices, values, activation)


@pytest.mark.parametrize("case", CASES)
def test_released_weights_give_the_plain_result(case, tmp_path):
    state = upstream(CASES[case])
    model = published.load_published(put(tmp_path, CASES[case], state))
    assert not model.training
    assert len(state) == len(model.state_dict())
    with torch.no_grad():
        found, expected = model(stamps(), metadata()), plain(CASES[case], state)
    assert found.shape == (2,)
    assert found.std() > 1e-5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_released_fusion_is_frozen_fusion(tmp_path):
    model = published.load_published(put(tmp_path, fusion(CNN), upstream(fusion(CNN))))
    assert isinstance(model, FusionModel)


@pytest.mark.parametrize("encoder", ["mm_cnn", "mm_ConvNeXt", "mm_MaxViT"])
def test_joint_models_have_their_names_too(encoder, tmp_path):
    config = {**CNN, **META, **COMBINED, **CONVNEXT, "model_name": encoder}
    writer = Writer()
    if encoder == "mm_cnn":
        features = upstream_image({**CNN}, writer, headless=True)
    else:
        architecture, prefix = {
            "mm_ConvNeXt": ("convnext_pico", "convnext_backbone."),
            "mm_MaxViT": ("maxvit_tiny_rw_224", "maxvit_backbone."),
        }[encoder]
        config["model_kind"] = architecture
        features = 512
        writer.timm(prefix, architecture, skip=("head.",))
    writer.norm("metadata_branch.0", 25)
    writer.linear("metadata_branch.1", 25, 128)
    writer.linear("metadata_branch.4", 128, 96)
    for index, a, b in zip((0, 2, 5), (features + 96, 32, 8), (32, 8, 1), strict=True):
        writer.linear(f"combined_head.{index}", a, b)
    model = published.load_published(put(tmp_path, config, writer.state))
    assert len(writer.state) == len(model.state_dict())
    with torch.no_grad():
        found = model(stamps(), metadata())
    act = functional.relu if encoder == "mm_cnn" else functional.gelu
    table = functional.batch_norm(
        metadata(),
        *(writer.state[f"metadata_branch.0.{part}"] for part in ("running_mean", "running_var", "weight", "bias")),
    )
    table = act(linear(writer.state, "metadata_branch.4", act(linear(writer.state, "metadata_branch.1", table))))
    with torch.no_grad():
        image = model.encoder(stamps())
        expected = plain_dense(writer.state, "combined_head", (0, 2, 5), torch.cat((image, table), dim=1), act)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda state: state.pop("network.1.bias"), "Missing key"),
        (lambda state: state.update({"network.9.bias": torch.zeros(1)}), "network.9.bias"),
        (lambda state: state.update({"network.6.bias": torch.zeros(2)}), "size mismatch"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, text, tmp_path):
    state = upstream(META)
    change(state)
    with pytest.raises(StudyError, match=text):
        published.load_published(put(tmp_path, META, state))


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({**CNN, "model_name": "VGG6"}, "VGG6"),
        ({"model_name": "um_cnn"}, "conv1_channels"),
        ({**META, "metadata_cols": list(METADATA_COLUMNS)[::-1]}, "metadata_cols"),
    ],
)
def test_configurations_that_are_not_ours_are_refused(config, text, tmp_path):
    with pytest.raises(StudyError, match=text):
        published.load_published(put(tmp_path, config, {}))


def test_other_timm_tags_and_old_keys_are_understood():
    config = {**CONVNEXT, "model_kind": "convnext_atto.d2_in1k", "dropout1": 0.5}
    del config["dropout"]
    model = published.build_published(config, "here")
    assert model.encoder.spec.timm_name == "convnext_atto"
    assert model.head[4].p == 0.5


def test_fetched_files_are_checked_before_they_are_used(fake_hub, tmp_path):
    repo, folder = "nabeelr/BTSbot-some", tmp_path / "model"
    fake_hub.put(repo, "pytorch_model.bin", upstream(META))
    fake_hub.put(repo, "train_config.json", META)
    fake_hub.put(repo, "card.json", {"license": "bsd-3-clause"})
    pinned = pins.Pins(tmp_path / "pins.json")
    with pytest.raises(StudyError, match="do not use it"):
        hub.fetch_published(folder, repo, "main", pinned, digest="0" * 64)
    manifest = hub.fetch_published(folder, repo, "main", pinned)
    assert (manifest["origin"], manifest["licence"]) == (f"hub:{repo}", "bsd-3-clause")
    (fake_hub.folder / repo / "main").write_text("e" * 40)
    assert hub.fetch_published(folder, repo, "main", pinned) == manifest
    published.load_published(folder)
    (folder / "train_config.json").write_text(json.dumps({**META, "meta_dropout": 0.3}))
    with pytest.raises(StudyError, match="changed since"):
        published.load_published(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(StudyError, match="snakemake fetch"):
        published.load_published(folder)
