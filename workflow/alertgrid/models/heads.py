"""Layers around the encoders: the normalisation of the input and the dense heads.

Sources: BTSbot (heads, L2-normalised stamps), Zoobot ([0, 1] input), ImageNet's constants as in timm,
arXiv 2203.07390 (mean +- 3 standard deviations mapped to [0, 1]).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


def dense_head(features: int, widths: Sequence[int], dropout: float, activation: str) -> nn.Sequential:
    """[Linear, activation] for each width, then Dropout and a Linear to one logit."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(features, width), _ACTIVATIONS[activation]()]
        features = width
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(features, 1))


class InputNormalisation(nn.Module):
    """Stamps as stored -> stamps as the network sees them; each cutout on its own.

    Parameters
    ----------
    kind : {"l2", "unit", "imagenet", "sigma3"}
        As stored (unit L2 norm); smallest value 0 and largest 1; the same, then ImageNet's mean and standard deviation;
        mean - 3 sigma -> 0 and mean + 3 sigma -> 1, values outside kept.
    channels : int
        Number of cutouts.
    """

    def __init__(self, kind: str, channels: int):
        super().__init__()
        self.kind = kind
        # ASSUME: ImageNet's red, green, blue constants go to the cutouts in their order, repeated beyond three.
        repeat = -(-channels // 3)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            constants = torch.tensor((values * repeat)[:channels]).view(1, channels, 1, 1)
            self.register_buffer(name, constants, persistent=False)

    def forward(self, stamps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if self.kind == "l2":
            return stamps
        if self.kind == "sigma3":
            # ASSUME: all cutouts alike; the paper standardises the difference, the same up to scale and offset.
            deviation, mean = torch.std_mean(stamps, dim=(-2, -1), keepdim=True, correction=0)
            return (stamps - mean) / (6 * deviation).clamp_min(1e-12) + 0.5
        low, high = stamps.amin(dim=(-2, -1), keepdim=True), stamps.amax(dim=(-2, -1), keepdim=True)
        unit = (stamps - low) / (high - low).clamp_min(1e-12)
        return unit if self.kind == "unit" else (unit - self.mean) / self.std

    def extra_repr(self) -> str:
        """Kind, for the printed model."""
        return self.kind
