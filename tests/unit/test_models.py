"""Networks as published: layers, parameter counts, frozen fusion in both modes, input normalisation, settings."""

import json

import numpy as np
import pytest
import torch
from alertgrid.encoders import ENCODERS
from alertgrid.errors import StudyError
from alertgrid.models import build_fusion, build_model, count_parameters, resolve_settings, seeded
from alertgrid.models.heads import IMAGENET_MEAN, IMAGENET_STD, InputNormalisation
from torch import nn


def stamps(count=4, channels=3, seed=0):
    values = np.random.default_rng(seed).normal(size=(count, channels, 63, 63)).astype("float32")
    values /= np.linalg.norm(values, axis=(-2, -1), keepdims=True)
    return torch.from_numpy(values)


def metadata(count=4, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 25)).astype("float32"))


def kinds(module):
    return [type(layer).__name__ for layer in module]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("inputs", ["image", "fusion"])
def test_every_network_gives_one_logit_and_trains(name, inputs):
    model = build_model(name, inputs)
    logits = model(stamps(), metadata())
    assert logits.shape == (4,)
    assert model.embed(stamps(), metadata()).shape == (4, model.features)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "inputs", "settings", "millions"),
    [
        ("convnext_pico", "image", {}, 8.67),
        ("convnext_pico", "image", {"head": {"widths": [128, 8]}}, 8.60),
        ("maxvit_tiny", "image", {"head": {"widths": [128, 8]}}, 28.6),
        ("maxvit_tiny", "image", {"input_size": 224, "head": {"widths": [128, 8]}}, 28.6),
        ("metadata_net", "metadata", {}, 0.020),
        ("btsbot_cnn", "image", {}, 0.58),
        ("btsbot_cnn", "image", {"cnn": {"configuration": "image_only"}}, 0.15),
    ],
)
def test_parameter_counts(architecture, inputs, settings, millions):
    count = count_parameters(build_model(architecture, inputs, settings=settings)) / 1e6
    digits = len(str(millions).split(".")[1])
    assert round(count, digits) == millions


def test_published_head_of_timm_encoders():
    head = build_model("convnext_pico", "image").head
    assert kinds(head) == ["Linear", "GELU", "Linear", "GELU", "Dropout", "Linear"]
    assert [(layer.in_features, layer.out_features) for layer in head if isinstance(layer, nn.Linear)] == [
        (512, 256), (256, 8), (8, 1),
    ]  # fmt: skip
    assert head[4].p == 0.7


def test_custom_cnn_is_the_published_one():
    model = build_model("btsbot_cnn", "image")
    block = ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout2d"]
    assert kinds(model.encoder.layers) == [*block, *block, "Flatten"]
    convolutions = [layer for layer in model.encoder.layers if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size, c.padding) for c in convolutions] == [
        (3, 32, (5, 5), "same"), (32, 32, (5, 5), "same"), (32, 64, (5, 5), "same"), (64, 64, (5, 5), "same"),
    ]  # fmt: skip
    assert [layer.p for layer in model.encoder.layers if isinstance(layer, nn.Dropout2d)] == [0.5, 0.55]
    assert model.features == 64 * 7 * 7
    assert kinds(model.head) == ["Linear", "ReLU", "Linear", "ReLU", "Dropout", "Linear"]
    other = build_model("btsbot_cnn", "image", settings={"cnn": {"configuration": "image_only"}})
    assert other.features == 16 * 7 * 7
    assert kinds(other.head) == ["Linear", "ReLU", "Dropout", "Linear"]


def test_metadata_embedding_stops_before_the_last_relu():
    model = build_model("metadata_net", "metadata").eval()
    values = metadata()
    embedding = model.embed(None, values)
    assert kinds(model.layers) == ["BatchNorm1d", "Linear", "ReLU", "Dropout", "Linear"]
    assert (embedding < 0).any()
    torch.testing.assert_close(model(None, values), model.head[1](embedding.relu()).squeeze(-1))


def test_convnext_embedding_is_pooled_normalised_and_flat():
    model = build_model("convnext_pico", "image").eval()
    backbone, values = model.encoder.backbone, stamps()
    mean = backbone.forward_features(values).mean(dim=(2, 3))
    expected = nn.functional.layer_norm(mean, (512,), backbone.head.norm.weight, backbone.head.norm.bias, 1e-6)
    torch.testing.assert_close(model.embed(values), expected)


def test_maxvit_embedding_is_the_global_pool():
    model = build_model("maxvit_tiny", "image").eval()
    values = nn.functional.interpolate(stamps(), size=(64, 64), mode="bilinear")
    torch.testing.assert_close(
        model.embed(stamps()), model.encoder.backbone.forward_features(values).mean(dim=(2, 3)), rtol=1e-4, atol=1e-5
    )


def test_joint_convnext_has_no_last_norm():
    model = build_model("convnext_pico", "fusion").eval()
    flat = model.encoder.backbone.forward_features(stamps()).flatten(1)
    torch.testing.assert_close(model.embed(stamps(), metadata())[:, :512], flat)
    assert kinds(model.metadata) == ["BatchNorm1d", "Linear", "GELU", "Dropout", "Linear", "GELU"]
    assert kinds(build_model("btsbot_cnn", "fusion").metadata)[2] == "ReLU"


def branches(seed=3):
    return build_model("btsbot_cnn", "image", seed=seed), build_model("metadata_net", "metadata", seed=seed)


def test_clean_fusion_freezes_its_branches():
    image, table = branches()
    model = build_fusion(image, table)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = model.embeddings(stamps(), metadata()), model.embeddings(stamps(), metadata())
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(stamps(), metadata()).sum().backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith("head.") for key in changed)


def test_fusion_head_on_ready_embeddings_is_the_whole_network():
    image, table = branches()
    model = build_fusion(image, table).eval()
    image.eval(), table.eval()
    expected = model.head(image.embed(stamps(), None), table.embed(None, metadata()))
    assert torch.equal(model(stamps(), metadata()), expected)
    assert torch.equal(model.embed(stamps(), metadata())[:, : image.features], image.embed(stamps(), None))
    assert kinds(model.head.layers) == ["Linear", "ReLU", "Linear", "ReLU", "Dropout", "Linear"]


def test_compat_fusion_drops_out_and_drifts():
    model = build_fusion(*branches(), {"fusion": {"mode": "compat"}})
    model.train()
    drift = model.metadata.layers[0].running_mean.clone()
    first, second = model.embeddings(stamps(), metadata()), model.embeddings(stamps(), metadata())
    assert not any(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert not torch.equal(model.metadata.layers[0].running_mean, drift)
    assert not any(p.requires_grad for p in model.image.parameters())
    model.eval()
    assert torch.equal(model.embed(stamps(), metadata()), model.embed(stamps(), metadata()))


def test_fusion_leaves_the_given_networks_alone():
    image, table = branches()
    build_fusion(image, table)
    assert image.head[0].in_features == image.features
    assert all(p.requires_grad for p in (*image.parameters(), *table.parameters()))


def test_seed_decides_the_weights_and_the_global_generator_stays():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (build_model("btsbot_cnn", "image", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.head[0].weight, other.head[0].weight)
    with seeded(1):
        assert torch.rand(1).item() == torch.rand(1, generator=torch.Generator().manual_seed(1)).item()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_normalisations(channels):
    values = stamps(3, channels)
    array = values.numpy()
    low, high = array.min((-2, -1), keepdims=True), array.max((-2, -1), keepdims=True)
    unit = (array - low) / (high - low)
    mean, std = (np.resize(c, channels)[None, :, None, None] for c in (IMAGENET_MEAN, IMAGENET_STD))
    m, s = array.mean((-2, -1), keepdims=True), array.std((-2, -1), keepdims=True)
    expected = {
        "l2": array, "unit": unit, "imagenet": (unit - mean) / std, "sigma3": (array - (m - 3 * s)) / (6 * s),
    }  # fmt: skip
    for kind, wanted in expected.items():
        layer = InputNormalisation(kind, channels)
        np.testing.assert_allclose(layer(values).numpy(), wanted, rtol=2e-4, atol=2e-5)
        assert kind in repr(layer)
        assert not layer.state_dict()


@pytest.mark.parametrize("kind", ["unit", "imagenet", "sigma3"])
def test_a_flat_cutout_stays_finite(kind):
    assert InputNormalisation(kind, 1)(torch.full((1, 1, 63, 63), 1 / 63)).isfinite().all()


def test_the_network_normalises_its_own_input():
    model = build_model("btsbot_cnn", "image", settings={"input_normalisation": "unit"}).eval()
    # A stamp on [0, 1] depends on neither scale nor offset.
    torch.testing.assert_close(model(stamps()), model(stamps() * 3 + 1), rtol=1e-3, atol=1e-5)
    assert build_model("acero_cnn", "image").normalise.kind == "sigma3"


def test_settings_merge_by_section_and_architecture():
    settings = {
        "head": {"dropout": 0.1},
        "architectures": {"maxvit_tiny": {"input_size": 224, "head": {"widths": [9]}}},
    }
    resolved = resolve_settings("maxvit_tiny", settings)
    assert resolved["head"] == {"widths": [9], "dropout": 0.1}
    assert resolved["input_size"] == 224
    assert resolve_settings("convnext_pico", settings)["input_size"] == "native"
    assert json.loads(json.dumps(resolved)) == resolved
    cnn = resolve_settings("btsbot_cnn", {"cnn": {"configuration": "image_only", "kernel": 5}})["cnn"]
    assert (cnn["channels"], cnn["kernel"], cnn["dropout"]) == ([64, 16], 5, 0.45)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"heads": {}}, "models.heads"),
        ({"head": {"width": 3}}, "models.head.width"),
        ({"cnn": {"kernels": 3}}, "models.cnn.kernels"),
        ({"cnn": {"configuration": "best"}}, "models.cnn.configuration"),
        ({"cnn": {"channels": [0, 4]}}, "models.cnn.channels"),
        ({"input_normalisation": "zscale"}, "models.input_normalisation"),
        ({"input_size": 3}, "models.input_size"),
        ({"fusion": {"mode": "dirty"}}, "models.fusion.mode"),
        ({"head": {"dropout": 1.5}}, "models.head.dropout"),
        ({"metadata": {"widths": [128, -1]}}, "models.metadata.widths"),
        ({"architectures": {"btsbot_cnn": {"size": 1}}}, "models.architectures.btsbot_cnn.size"),
    ],
)
def test_wrong_settings_name_their_key(settings, key):
    with pytest.raises(StudyError) as error:
        build_model("btsbot_cnn", "image", settings=settings)
    assert error.value.where == key


def test_unknown_inputs_are_refused():
    with pytest.raises(StudyError, match="fusion"):
        build_model("btsbot_cnn", "pictures")
