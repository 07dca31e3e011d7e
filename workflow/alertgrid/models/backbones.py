"""The encoders themselves: a timm network behind an optional resize, BTSbot's CNN, and the CNN of arXiv 2203.07390."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..columns import STAMP_SIZE
from ..encoders import EncoderSpec
from ..errors import StudyError


class TimmEncoder(nn.Module):
    """A timm network without its classifier: global pool (and norm) -> (B, features).

    Parameters
    ----------
    spec : EncoderSpec
        Entry with a timm name.
    in_channels : int
        Number of cutouts.
    input_size : "native" or int
        Side in pixels; stamps of another size are resized bilinearly, as upstream does for MaxViT (63 -> 224).

    Attributes
    ----------
    created_for : int or None
        Side that the network was created for where it is not timm's own.
    unused : tuple of str
        Prefixes of weights that this use of the network does without; `weights` leaves them out when loading.
    """

    unused: tuple[str, ...] = ()

    def __init__(self, spec: EncoderSpec, in_channels: int, input_size: str | int):
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        options, self.input_size = _options(spec, in_channels, input_size)
        self.created_for = options.get("img_size")
        self.backbone, self.features = _create(spec, options, self.input_size)

    def forward(self, stamps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, features)."""
        if stamps.shape[-1] != self.input_size or stamps.shape[-2] != self.input_size:
            size = (self.input_size, self.input_size)
            stamps = functional.interpolate(stamps, size=size, mode="bilinear", align_corners=False)
        return self.backbone(stamps)


def _options(spec: EncoderSpec, in_channels: int, input_size: str | int) -> tuple[dict[str, Any], int]:
    """Arguments of timm for a network of random weights, and the side it takes."""
    import timm  # takes seconds, and the custom CNN and metadata networks do without

    options: dict[str, Any] = {"in_chans": in_channels, "num_classes": 0, "pretrained": False}
    default = timm.get_pretrained_cfg(spec.timm_name)
    is_fixed = spec.resizable or default.fixed_input_size
    wanted = spec.native_size if input_size == "native" else int(input_size)
    side = wanted or (default.input_size[-1] if is_fixed else STAMP_SIZE)
    if is_fixed and side != default.input_size[-1]:
        options["img_size"] = side
    return options, side


def _create(spec: EncoderSpec, options: dict[str, Any], side: int) -> tuple[nn.Module, int]:
    """timm network and the number of its features."""
    import timm

    try:
        network = timm.create_model(spec.timm_name, **options)
        return network, _try_out(network, options["in_chans"], side)
    except (RuntimeError, TypeError, AssertionError, ValueError, IndexError, AttributeError) as error:
        raise StudyError(
            f"architecture {spec.name!r} at {side} pixels",
            f"timm cannot build it: {error}",
            "a timm architecture and a side that it accepts",
            "correct the architecture, or the size: name@pixels, or models.architectures.<name>.input_size"
            " (224 fits most networks)",
        ) from error


def _try_out(network: nn.Module, in_channels: int, side: int) -> int:
    """Number of features, from one empty stamp: many networks accept a size when built and fail on a batch."""
    with torch.no_grad():
        features = network.eval()(torch.zeros(1, in_channels, side, side))
    if features.ndim != 2:
        raise ValueError(f"its output has shape {tuple(features.shape)}, not (batch, features)")
    network.train()
    return features.shape[1]


def _block(channels_in: int, channels: int, kernel: int, pool: int, dropout: float) -> list[nn.Module]:
    """Two same-size convolutions, max-pooling, channel dropout."""
    return [
        nn.Conv2d(channels_in, channels, kernel, padding="same"),
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(pool),
        nn.Dropout2d(dropout),
    ]


class BtsbotCNN(nn.Module):
    """Convolutional part of BTSbot's own network; 63 pixels -> 31 -> 7, flattened to (B, c2 * 7 * 7)."""

    def __init__(self, spec: EncoderSpec, in_channels: int, settings: Mapping[str, Any]):
        super().__init__()
        cnn = settings["cnn"]
        (first, second), kernel, (drop1, drop2) = cnn["channels"], cnn["kernel"], cnn["dropouts"]
        self.spec, self.in_channels, self.input_size = spec, in_channels, STAMP_SIZE
        self.layers = nn.Sequential(
            *_block(in_channels, first, kernel, 2, drop1), *_block(first, second, kernel, 4, drop2), nn.Flatten()
        )
        self.features = second * (STAMP_SIZE // 8) ** 2

    def forward(self, stamps: Tensor) -> Tensor:
        """(B, C, 63, 63) -> (B, features)."""
        return self.layers(stamps)


class AceroCNN(nn.Module):
    """Three convolutions over the stamps laid side by side in one channel (arXiv 2203.07390).

    With all three cutouts it is the paper's DIA network, with science and template its noDIA network.
    """

    # Kernels of 5 pixels, no padding, dropout after each pool: the variant of the authors' code (taceroc/DIA_noDIA,
    # model_utils.py) that carries dropout; a sigmoid on one output takes the place of a softmax on two.
    _CHANNELS = (16, 32, 64)

    def __init__(self, spec: EncoderSpec, in_channels: int, settings: Mapping[str, Any]):
        super().__init__()
        self.spec, self.in_channels, self.input_size = spec, in_channels, STAMP_SIZE
        layers: list[nn.Module] = []
        height, width = STAMP_SIZE, STAMP_SIZE * in_channels
        for before, after in zip((1, *self._CHANNELS), self._CHANNELS, strict=False):
            layers += [nn.Conv2d(before, after, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.4)]
            height, width = (height - 4) // 2, (width - 4) // 2
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = self._CHANNELS[-1] * height * width

    def forward(self, stamps: Tensor) -> Tensor:
        """(B, C, 63, 63) -> (B, features)."""
        return self.layers(torch.cat(stamps.split(1, dim=1), dim=-1))
