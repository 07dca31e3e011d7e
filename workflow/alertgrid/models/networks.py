"""Encoder and head, metadata network, joint and frozen fusion, after BTSbot 2.0.7 (see `models.settings`).

Every network has `forward(stamps, metadata) -> logits (B,)` and `embed(stamps, metadata) -> (B, F)`; the one it does
not use may be None.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..columns import METADATA_COLUMNS
from ..encoders import build_encoder
from .heads import InputNormalisation, dense_head


class ImageModel(nn.Module):
    """Encoder and dense head on stamps.

    Parameters
    ----------
    architecture : str
        Name of an encoder.
    in_channels : int
        Number of cutouts.
    settings : mapping
        Resolved settings (`models.settings.resolve_settings`).
    """

    def __init__(self, architecture: str, in_channels: int, settings: Mapping[str, Any]):
        super().__init__()
        self.normalise = InputNormalisation(settings["input_normalisation"], in_channels)
        self.encoder = build_encoder(architecture, in_channels, settings["input_size"], settings)
        self.features = self.encoder.features
        self.head = dense_head(self.features, **image_head(architecture, settings))

    def embed(self, stamps: Tensor | None, metadata: Tensor | None = None) -> Tensor:
        """Features before the dense head: (B, C, 63, 63) -> (B, features)."""
        return self.encoder(self.normalise(stamps))

    def forward(self, stamps: Tensor | None, metadata: Tensor | None = None) -> Tensor:
        """(B, C, 63, 63) -> logits (B,)."""
        return self.head(self.embed(stamps)).squeeze(-1)


def image_head(architecture: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Widths, dropout and activation of the dense head that belongs to an encoder."""
    if architecture == "btsbot_cnn":
        return {"widths": settings["cnn"]["widths"], "dropout": settings["cnn"]["dropout"], "activation": "relu"}
    if architecture == "acero_cnn":
        return {"widths": (32,), "dropout": 0.0, "activation": "relu"}
    return {**settings["head"], "activation": "gelu"}


class MetadataModel(nn.Module):
    """Dense network on the 25 metadata columns, raw values: batch normalisation comes first."""

    def __init__(self, settings: Mapping[str, Any]):
        super().__init__()
        first, second = settings["metadata"]["widths"]
        self.layers = nn.Sequential(
            nn.BatchNorm1d(len(METADATA_COLUMNS)),
            nn.Linear(len(METADATA_COLUMNS), first),
            nn.ReLU(),
            nn.Dropout(settings["metadata"]["dropout"]),
            nn.Linear(first, second),
        )
        self.features = second
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(second, 1))

    def embed(self, stamps: Tensor | None, metadata: Tensor | None) -> Tensor:
        """Values after the second linear layer, before its ReLU: (B, 25) -> (B, features)."""
        return self.layers(metadata)

    def forward(self, stamps: Tensor | None, metadata: Tensor | None) -> Tensor:
        """(B, 25) -> logits (B,)."""
        return self.head(self.embed(stamps, metadata)).squeeze(-1)


class JointModel(nn.Module):
    """Joint fusion (upstream's mm_*): both branches and the head train together.

    ConvNeXt at 63 pixels ends in a 1 x 1 map, which upstream flattens here without the final normalisation.
    """

    def __init__(self, architecture: str, in_channels: int, settings: Mapping[str, Any]):
        super().__init__()
        joint = settings["joint"]
        self.normalise = InputNormalisation(settings["input_normalisation"], in_channels)
        self.encoder = build_encoder(architecture, in_channels, settings["input_size"], settings)
        if architecture.startswith("convnext") and self.encoder.input_size < 64:
            self.encoder.backbone.head.norm = nn.Identity()
            self.encoder.unused = ("head.norm.",)
        activation = "relu" if architecture == "btsbot_cnn" else "gelu"
        self.metadata = _metadata_branch(joint["metadata_widths"], joint["metadata_dropout"], activation)
        self.features = self.encoder.features + joint["metadata_widths"][-1]
        self.head = dense_head(self.features, joint["widths"], joint["dropout"], activation)

    def embed(self, stamps: Tensor | None, metadata: Tensor | None) -> Tensor:
        """Both branches side by side: (B, features)."""
        return torch.cat((self.encoder(self.normalise(stamps)), self.metadata(metadata)), dim=1)

    def forward(self, stamps: Tensor | None, metadata: Tensor | None) -> Tensor:
        """(B, C, 63, 63), (B, 25) -> logits (B,)."""
        return self.head(self.embed(stamps, metadata)).squeeze(-1)


def _metadata_branch(widths: tuple[int, int], dropout: float, activation: str) -> nn.Sequential:
    """Metadata branch of joint fusion, which keeps its last activation."""
    act = nn.ReLU if activation == "relu" else nn.GELU
    columns = len(METADATA_COLUMNS)
    return nn.Sequential(
        nn.BatchNorm1d(columns),
        nn.Linear(columns, widths[0]),
        act(),
        nn.Dropout(dropout),
        nn.Linear(widths[0], widths[1]),
        act(),
    )


class FusionHead(nn.Module):
    """Trained part of frozen fusion: two embeddings -> one logit."""

    def __init__(self, image_features: int, metadata_features: int, settings: Mapping[str, Any]):
        super().__init__()
        fusion = settings["fusion"]
        self.layers = dense_head(image_features + metadata_features, fusion["widths"], fusion["dropout"], "relu")

    def forward(self, image_embedding: Tensor, metadata_embedding: Tensor) -> Tensor:
        """(B, F_image), (B, F_metadata) -> logits (B,)."""
        return self.layers(torch.cat((image_embedding, metadata_embedding), dim=1)).squeeze(-1)


class FusionModel(nn.Module):
    """Frozen fusion: trained image and metadata networks without their heads, and a new head on both embeddings.

    Parameters
    ----------
    image_model : ImageModel
        Trained; copied, its head cut off.
    metadata_model : MetadataModel
        Trained; copied, its head cut off.
    settings : mapping
        Resolved settings; `fusion.mode` "clean" keeps the branches in eval mode; "compat" leaves them in train mode
        while the head trains, as upstream does: their dropout acts and their batch statistics drift.
    """

    def __init__(self, image_model: ImageModel, metadata_model: MetadataModel, settings: Mapping[str, Any]):
        super().__init__()
        self.image, self.metadata = _frozen(image_model), _frozen(metadata_model)
        self.mode = settings["fusion"]["mode"]
        self.features = image_model.features + metadata_model.features
        self.head = FusionHead(image_model.features, metadata_model.features, settings)
        self.train()

    def train(self, mode: bool = True) -> FusionModel:
        """Switch the head, and in `compat` mode the branches too."""
        super().train(mode)
        if self.mode == "clean":
            self.image.eval()
            self.metadata.eval()
        return self

    def embeddings(self, stamps: Tensor, metadata: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of the frozen branches, without gradients: (B, F_image), (B, F_metadata)."""
        with torch.no_grad():
            return self.image.embed(stamps, None), self.metadata.embed(None, metadata)

    def embed(self, stamps: Tensor | None, metadata: Tensor | None) -> Tensor:
        """Both embeddings side by side: (B, features)."""
        return torch.cat(self.embeddings(stamps, metadata), dim=1)

    def forward(self, stamps: Tensor | None, metadata: Tensor | None) -> Tensor:
        """(B, C, 63, 63), (B, 25) -> logits (B,)."""
        return self.head(*self.embeddings(stamps, metadata))


def _frozen(model: nn.Module) -> nn.Module:
    """Copy without its head and without gradients."""
    branch = copy.deepcopy(model)
    branch.head = nn.Identity()
    return branch.requires_grad_(False)
