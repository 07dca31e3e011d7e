"""Encoder and head, metadata network, fusion: the networks of a study, by architecture and inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import StudyError
from .heads import InputNormalisation, dense_head
from .networks import FusionHead, FusionModel, ImageModel, JointModel, MetadataModel
from .settings import DEFAULTS, resolve_settings

__all__ = [
    "DEFAULTS",
    "FusionHead",
    "FusionModel",
    "ImageModel",
    "InputNormalisation",
    "JointModel",
    "MetadataModel",
    "build_fusion",
    "build_model",
    "count_parameters",
    "dense_head",
    "resolve_settings",
    "seeded",
]

INPUTS = ("image", "metadata", "fusion")


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initialise from `seed` inside the block and leave torch's own generators as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield


def build_model(
    architecture: str,
    inputs: str,
    in_channels: int = 3,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Build a network with random initial weights.

    Parameters
    ----------
    architecture : str
        Encoder name; ignored when `inputs` is "metadata" (the grid calls that network `metadata_net`).
    inputs : {"image", "metadata", "fusion"}
        "fusion" is joint fusion, both branches trained together; frozen fusion is `build_fusion`.
    in_channels : int
        Number of cutouts that the network sees.
    settings : mapping, optional
        Settings as in config.yaml's `models`; missing keys take the published values.
    seed : int
        Of the initial weights.

    Returns
    -------
    nn.Module
        `forward(stamps (B, C, 63, 63) or None, metadata (B, 25) or None) -> logits (B,)`; `embed` with the same
        arguments gives (B, `features`).

    Raises
    ------
    StudyError
        Unknown architecture, inputs or settings.
    """
    if inputs not in INPUTS:
        raise StudyError("grid.inputs", f"{inputs!r} is unknown", f"one of {', '.join(INPUTS)}", "correct it")
    resolved = resolve_settings(architecture, settings)
    with seeded(seed):
        if inputs == "metadata":
            return MetadataModel(resolved)
        kind = ImageModel if inputs == "image" else JointModel
        return kind(architecture, in_channels, resolved)


def build_fusion(
    image_model: ImageModel,
    metadata_model: MetadataModel,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> FusionModel:
    """Frozen fusion of two trained networks with a new head (see `FusionModel`).

    Parameters
    ----------
    image_model, metadata_model : nn.Module
        Trained networks of `build_model`; they are copied and stay as they are.
    settings : mapping, optional
        Settings as for `build_model`; the section `fusion` is used.
    seed : int
        Of the head's initial weights.
    """
    resolved = resolve_settings(image_model.encoder.spec.name, settings)
    with seeded(seed):
        return FusionModel(image_model, metadata_model, resolved)


def count_parameters(model: nn.Module, trainable: bool = False) -> int:
    """Number of parameters, or of those that train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad or not trainable)
