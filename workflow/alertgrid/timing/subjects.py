"""Which networks are timed, and what of them does not depend on device, batch or precision?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..columns import METADATA_COLUMNS, STAMP_SIZE
from ..models import build_fusion, build_model, count_parameters
from .stopwatch import MIB

IN_CHANNELS = 3  # ASSUME: networks that see fewer cutouts cost the same; of the custom CNN's operations it is 1 %


@dataclass(frozen=True)
class Subject:
    """A network to be timed.

    Attributes
    ----------
    architecture, inputs : str
        By the grid's own names.
    model : nn.Module
    parameters : int
    weights_mb : float
        MiB of parameters and buffers.
    gflops : float
        1e9 floating-point operations of one alert, forward.
    """

    architecture: str
    inputs: str
    model: nn.Module
    parameters: int
    weights_mb: float
    gflops: float

    @property
    def name(self) -> str:
        """Architecture and inputs, as in the name of the job that is about this network."""
        return f"{self.architecture}-{self.inputs}"

    @property
    def input_size(self) -> int:
        """Side in pixels of what the encoder sees; 0 for a network without stamps."""
        encoder = getattr(self.model, "encoder", None)
        if encoder is None and hasattr(self.model, "image"):
            encoder = self.model.image.encoder
        return int(encoder.input_size) if encoder is not None else 0


def subjects(
    architecture: str, inputs: str, settings: Mapping[str, Any] | None, baseline: str, seed: int
) -> list[Subject]:
    """The network and, unless it is the one, the custom CNN with the same inputs ("image" beside metadata alone)."""
    kinds = [(architecture, inputs)]
    standard = (baseline, "image" if inputs == "metadata" else inputs)
    kinds += [standard] * (standard != kinds[0])
    return [_subject(*kind, settings, seed) for kind in kinds]


def network(architecture: str, inputs: str, settings: Mapping[str, Any] | None = None, seed: int = 0) -> nn.Module:
    """A network with the grid's own names of inputs; weights are random, since they change no cost."""
    if inputs == "fusion":
        branches = [build_model(architecture, kind, IN_CHANNELS, settings, seed) for kind in ("image", "metadata")]
        return build_fusion(*branches, settings, seed)
    return build_model(architecture, "fusion" if inputs == "joint" else inputs, IN_CHANNELS, settings, seed)


def _subject(architecture: str, inputs: str, settings: Mapping[str, Any] | None, seed: int) -> Subject:
    """Build one network and count it."""
    model = network(architecture, inputs, settings, seed).eval()
    tensors = [*model.parameters(), *model.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        model(*noise(1, torch.device("cpu"), seed))
    gflops = counter.get_total_flops() / 1e9
    return Subject(architecture, inputs, model, count_parameters(model), weights, gflops)


def noise(batch: int, device: torch.device, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random stamps of unit norm (B, 3, 63, 63) and metadata (B, 25)."""
    generator = torch.Generator().manual_seed(seed)
    stamps = torch.randn(batch, IN_CHANNELS, STAMP_SIZE, STAMP_SIZE, generator=generator) / STAMP_SIZE
    return stamps.to(device), torch.randn(batch, len(METADATA_COLUMNS), generator=generator).to(device)
