"""What does a run start with? Its network with initial weights, what feeds it, and the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ..checkpoints import Checkpoints
from ..errors import StudyError
from ..models import build_fusion, build_model
from ..weights import load_encoder_weights
from . import fusion
from .data import Data, Feed, stamp_feed
from .hardware import choose_precision
from .randomness import initial_seed
from .recipe import Recipe
from .selection import Selection
from .spec import RunSpec, Sources
from .step import Learner

PARTS = ("train", "val", "test")


def initial_model(data: Data, spec: RunSpec, recipe: Recipe, models: Mapping[str, Any], sources: Sources) -> nn.Module:
    """The network with its initial weights, on the device.

    Raises
    ------
    StudyError
        Weights are missing or do not fit.
    """
    seed = initial_seed(spec.seed)
    if spec.inputs == "fusion":
        model = _frozen_fusion(data.channels, spec, models, sources, seed)
    else:
        kind = "fusion" if spec.inputs == "joint" else spec.inputs
        model = build_model(spec.architecture, kind, data.channels, models, seed=seed)
        if sources.encoder:
            load_encoder_weights(model.encoder, sources.encoder)
    return model.to(data.device, memory_format=_memory_format(data, recipe))


def _memory_format(data: Data, recipe: Recipe) -> torch.memory_format:
    """Channels last pays for convolutions only."""
    return torch.channels_last if recipe.channels_last and data.stamps is not None else torch.preserve_format


def _frozen_fusion(channels: int, spec: RunSpec, models: Mapping[str, Any], sources: Sources, seed: int) -> nn.Module:
    """Frozen fusion of the two runs given."""
    if not (sources.image_run and sources.metadata_run):
        raise StudyError("--image-cell, --metadata-cell", "missing", "both, for fusion", "name the two cells")
    own = {"fraction": spec.fraction, "seed": spec.seed, "labels": spec.labels}
    image_own = {**own, "architecture": spec.architecture, "pretraining": spec.pretraining, "stamps": spec.stamps}
    image = fusion.load_branch(sources.image_run, "image", channels, image_own)
    metadata = fusion.load_branch(sources.metadata_run, "metadata", channels, own)
    return build_fusion(image, metadata, models, seed=seed)


def make_feeds(
    model: nn.Module,
    data: Data,
    spec: RunSpec,
    recipe: Recipe,
    selection: Selection,
    keeper: Checkpoints,
    tick: Callable[[], None],
) -> tuple[dict[str, Feed], nn.Module, float]:
    """What is fed for train, val and test, and the part of the network that takes it and is trained.

    Parameters
    ----------
    keeper : Checkpoints
        Keeps longer work over a stop.
    tick : callable
        Called between batches of longer work; may raise to leave.

    Returns
    -------
    feeds, network, seconds : dict, nn.Module, float
        `seconds` were spent by earlier sessions on what is in the feeds.
    """
    rows, labels = {name: getattr(selection, name) for name in PARTS}, selection.labels
    if spec.inputs != "fusion" or model.mode == "compat":
        return {name: stamp_feed(data, rows[name], labels, spec.inputs) for name in PARTS}, model, 0.0
    embed = fusion.Embedder(model, data, keeper, recipe.score_batch, recipe.channels_last, tick)
    precision = choose_precision(recipe.precision, data.device, spec.inputs)
    feeds = {"train": embed.split("train", rows["train"], labels, all_views=recipe.augment, precision=precision)}
    # The final scores come from these two, so they are float32 throughout.
    for name in ("val", "test"):
        feeds[name] = embed.split(name, rows[name], labels, all_views=False, precision="fp32")
    return feeds, model.head, embed.seconds


def make_learner(network: nn.Module, train: Feed, data: Data, spec: RunSpec, recipe: Recipe) -> Learner:
    """The trained part of the network with its optimizer and loss."""
    if recipe.compile != "no":
        network.compile(mode=recipe.compile)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    positive = train.labels.sum()
    return Learner(
        network=network,
        optimizer=torch.optim.AdamW(
            trained, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
        ),
        pos_weight=(len(train) - positive) / positive,
        device=data.device,
        precision=choose_precision(recipe.precision, data.device, spec.inputs),
        channels_last=recipe.channels_last,
        gradient_clip=recipe.gradient_clip,
        micro_batch=recipe.micro_batch,
        score_batch=recipe.score_batch,
        graphs=recipe.graphs,
    )
