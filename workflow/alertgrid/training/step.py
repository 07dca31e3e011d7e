"""One optimizer step, and one scoring pass: forward, loss, backward, update."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import StudyError
from .data import Feed
from .randomness import EpochPlan, reseed

Inputs = tuple[torch.Tensor | None, torch.Tensor | None]


@dataclass
class Learner:
    """A network with what trains it.

    Attributes
    ----------
    network : nn.Module
        What is trained and saved, called with two inputs: a whole network, or the head of a frozen fusion.
    optimizer : Optimizer
    pos_weight : () tensor
        Weight of the label 1 in the loss.
    device : torch.device
    precision : {"fp32", "bf16"}
        Of the arithmetic while training.
    channels_last : bool
        Memory order of stamps.
    gradient_clip : float
        Largest norm of the gradient, 0 for no clipping.
    micro_batch, score_batch : int
        Alerts per forward pass while training (0: the whole batch) and while scoring; halved when memory runs out.
    graphs : bool
        The network replays CUDA graphs.
    share : float
        Weight of one alert's loss in a step, 0 for the mean over the batch given; `parallel` sets it.
    """

    processes = 1  # that share a batch; more in `parallel`

    network: nn.Module
    optimizer: torch.optim.Optimizer
    pos_weight: torch.Tensor
    device: torch.device
    precision: str = "fp32"
    channels_last: bool = False
    gradient_clip: float = 0.0
    micro_batch: int = 0
    score_batch: int = 256
    graphs: bool = False
    share: float = 0.0

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer changes."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @cached_property
    def least(self) -> int:
        """Fewest alerts of a forward pass while training: batch normalisation has no variance of a single one."""
        return 2 if any(isinstance(layer, _BatchNorm) for layer in self.network.modules()) else 1

    def mine(self, plan: EpochPlan) -> EpochPlan:
        """What this process does of an epoch: all of it; `parallel` replaces it."""
        return plan

    def positions(self, feed: Feed) -> torch.Tensor:
        """Positions of a split that this process scores: all; `parallel` replaces it."""
        return torch.arange(len(feed), device=self.device)

    def call(self, image: torch.Tensor | None, metadata: torch.Tensor | None) -> torch.Tensor:
        """Logits of the network; `parallel` replaces it."""
        return self.network(image, metadata)

    def step(self, inputs: Inputs, labels: torch.Tensor, seed: int, learning_rate: float) -> torch.Tensor:
        """Train on one batch; its mean loss, () tensor on the device.

        When the device's memory runs out, the forward pass is repeated in halves and the gradients are accumulated: the
        batch that the optimizer sees stays the same (batch normalisation sees the halves).
        """
        while (loss := self._attempt(inputs, labels, seed)) is None:
            self.micro_batch = halve(self.micro_batch or len(labels), "training", self.device, self.least)
        if self.gradient_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        return loss

    def _attempt(self, inputs: Inputs, labels: torch.Tensor, seed: int) -> torch.Tensor | None:
        """Gradients of one batch; None when memory ran out."""
        # What zero_grad(set_to_none=True) does, without its bookkeeping, which costs a small network 5 % of a step.
        for parameter in self.parameters:
            parameter.grad = None
        reseed(seed, self.device)
        try:
            return self._accumulate(inputs, labels)
        except torch.OutOfMemoryError:
            return None

    def _accumulate(self, inputs: Inputs, labels: torch.Tensor) -> torch.Tensor:
        """Add up the gradients of the parts of a batch."""
        # The mean over the whole batch: each part's sum is divided as the gradient enters, which costs no extra kernel.
        share = _constant(self.share or 1 / len(labels), self.device)
        total = None
        for part, part_labels in self._parts(inputs, labels):
            loss = self.summed_loss(self.forward(part, self.precision), part_labels)
            loss.backward(share)
            total = loss.detach() if total is None else total + loss.detach()
        return total * share

    def _parts(self, inputs: Inputs, labels: torch.Tensor) -> Iterator[tuple[Inputs, torch.Tensor]]:
        """The batch in pieces of at most `micro_batch` alerts."""
        yield from split(inputs, labels, self.count_parts(len(labels), len(labels)))

    def count_parts(self, smallest: int, largest: int) -> int:
        """Pieces of at most `micro_batch` alerts that the largest share of a batch needs.

        Fewer, and so larger ones, where the smallest share (that of another process) would have pieces of less than
        `least`.

        Raises
        ------
        StudyError
            Several, with CUDA graphs: a replay overwrites the gradients that the one before has left.
        """
        count = max(min(-(-largest // (self.micro_batch or largest)), smallest // self.least), 1)
        if count > 1 and self.graphs:
            raise StudyError(
                f"training on {self.device}", f"CUDA graphs and a batch in {count} pieces, for its memory",
                "whole batches with compile=reduce-overhead",
                f'say machine: "compile=default micro_batch={self.micro_batch}" in the profile',
            )  # fmt: skip
        return count

    def forward(self, inputs: Inputs, precision: str) -> torch.Tensor:
        """Logits of a batch, (B,) float32."""
        image, metadata = inputs
        if image is not None:
            order = torch.channels_last if self.channels_last and image.ndim == 4 else torch.contiguous_format
            image = image.to(torch.float32, memory_format=order)
        with torch.autocast(self.device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
            return self.call(image, metadata).float()

    def score(self, feed: Feed, precision: str, tick: Callable[[], None] | None = None) -> torch.Tensor:
        """Logits of a whole split in its order, (n,) float32 on the device, without dropout.

        Parameters
        ----------
        tick : callable, optional
            Called between batches; may raise to leave.
        """
        self.network.eval()
        while (logits := self._try_score(feed, precision, tick)) is None:
            self.score_batch = halve(self.score_batch, "scoring", self.device)
        return logits

    def _try_score(self, feed: Feed, precision: str, tick: Callable[[], None] | None) -> torch.Tensor | None:
        """Logits of a split; None when memory ran out."""
        parts = []
        try:
            with torch.inference_mode():
                for inputs in feed.stream(self.positions(feed).split(self.score_batch)):
                    # A copy, since a replayed CUDA graph writes its next result to the same place.
                    parts.append(self.forward(inputs, precision).clone())
                    if tick:
                        tick()
                return torch.cat(parts)
        except torch.OutOfMemoryError:
            return None

    def summed_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum of the losses of a batch, () tensor; pre-training replaces it."""
        return cross_entropy(logits, labels, pos_weight=self.pos_weight, reduction="sum")

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> float:
        """Mean loss of a split."""
        return float(self.summed_loss(logits, labels) / len(labels))


@lru_cache(maxsize=4)
def _constant(value: float, device: torch.device) -> torch.Tensor:
    """A number on the device, () tensor, made once: nothing may write to it."""
    return torch.full((), value, device=device)


def split(inputs: Inputs, labels: torch.Tensor, count: int) -> Iterator[tuple[Inputs, torch.Tensor]]:
    """A batch in so many pieces, whose sizes differ by one at most."""
    if count == 1:
        yield inputs, labels
        return
    pieces = [[None] * count if values is None else values.tensor_split(count) for values in inputs]
    yield from zip(zip(*pieces, strict=True), labels.tensor_split(count), strict=True)


def halve(size: int, what: str, device: torch.device, least: int = 1) -> int:
    """Half of a batch, said aloud.

    Raises
    ------
    StudyError
        Not even `least` alerts fit.
    """
    if size <= least:
        raise StudyError(
            f"{what} on {device}",
            f"memory runs out with {'a single alert' if least == 1 else f'{least} alerts, the fewest that it needs'}",
            "room for them",
            "use a device with more memory",
        )
    half = max((size + 1) // 2, least)
    print(f"{what}: the memory of {device} ran out with {size} alerts; going on with {half} at a time", file=sys.stderr)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return half
