"""The table of encoders: every entry builds, takes stamps of 63 pixels and says how long its features are."""

import os
import subprocess
import sys
from pathlib import Path

import alertgrid
import pytest
import torch
from alertgrid.encoders import ENCODERS, USUAL_SIZE, build_encoder, encoder_spec
from alertgrid.errors import StudyError


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("channels", [3, 2])
def test_every_encoder_embeds_stamps(name, channels):
    encoder = build_encoder(name, channels).eval()
    with torch.no_grad():
        features = encoder(torch.rand(2, channels, 63, 63))
    assert features.shape == (2, encoder.features)
    assert encoder.spec is ENCODERS[name]
    assert channels != 3 or encoder.features == encoder.spec.features
    assert features.isfinite().all()


@pytest.mark.parametrize("name", ["btsbot_cnn", "convnext_pico", "resnet18"])
def test_channels_last_changes_nothing(name):
    encoder = build_encoder(name).eval()
    stamps = torch.rand(2, 3, 63, 63)
    with torch.no_grad():
        expected = encoder(stamps)
        encoder.to(memory_format=torch.channels_last)
        found = encoder(stamps.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_convnext_ends_in_one_pixel_and_maxvit_is_native_at_64():
    assert build_encoder("convnext_pico").backbone.forward_features(torch.rand(1, 3, 63, 63)).shape[-2:] == (1, 1)
    native = build_encoder("maxvit_tiny")
    assert native.input_size == 64
    assert native.backbone.forward_features(torch.rand(1, 3, 64, 64)).shape[-2:] == (2, 2)


def test_upstream_size_is_a_bilinear_resize():
    encoder = build_encoder("convnext_pico", input_size=224).eval()
    stamps = torch.rand(1, 3, 63, 63)
    resized = torch.nn.functional.interpolate(stamps, size=(224, 224), mode="bilinear", align_corners=False)
    with torch.no_grad():
        assert torch.equal(encoder(stamps), encoder.backbone(resized))
        assert not torch.allclose(encoder(stamps), encoder.backbone(stamps), atol=1e-4)


def test_maxvit_at_224_keeps_its_windows():
    encoder = build_encoder("maxvit_tiny", input_size=224)
    table = encoder.backbone.stages[0].blocks[0].attn_block.attn.rel_pos.relative_position_bias_table
    assert encoder.input_size == 224
    assert table.shape[0] == 13**2  # windows of 7 pixels


def test_any_timm_name_has_a_generic_entry():
    spec = encoder_spec("resnet10t")
    assert (spec.timm_name, spec.pretrainable, spec.native_size) == ("resnet10t", True, None)
    encoder = build_encoder("resnet10t", 1)
    assert encoder(torch.rand(2, 1, 63, 63)).shape == (2, encoder.features)
    assert encoder.input_size == 63


def test_a_fixed_size_network_keeps_its_size_or_is_built_for_another():
    assert build_encoder("vit_tiny_patch16_224").input_size == 224
    small = build_encoder("vit_tiny_patch16_224", input_size=64)
    assert small(torch.rand(2, 3, 63, 63)).shape == (2, 192)


@pytest.mark.parametrize("name", [name for name, spec in ENCODERS.items() if spec.timm_name])
def test_every_timm_network_of_the_table_takes_the_usual_size(name):
    assert build_encoder(name, input_size=USUAL_SIZE).input_size == USUAL_SIZE


def test_unknown_names_are_refused_with_the_near_ones():
    with pytest.raises(StudyError, match="convnext_pico") as error:
        encoder_spec("convnext_pica")
    assert "btsbot_cnn" in error.value.expected
    assert "convnext_pico" in error.value.expected.split("near:")[1]


def test_an_impossible_size_is_explained():
    for name, size in (("mvitv2_tiny", 50), ("maxvit_tiny", 100), ("convnext_pico", 16)):
        with pytest.raises(StudyError, match=rf"'{name}' at {size} pixels: timm cannot build it: .*\n.*\n.*input_size"):
            build_encoder(name, input_size=size)


def test_the_table_needs_neither_torch_nor_timm():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['timm'] = None\n"
        "from alertgrid.encoders import encoder_spec; print(encoder_spec('maxvit_tiny').timm_name)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(alertgrid.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "maxvit_tiny_rw_224"
