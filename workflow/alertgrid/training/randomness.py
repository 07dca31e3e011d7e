"""Where does chance come from? One integer seed, with its purpose and the place in the run folded in.

Nothing depends on what was drawn before, so a run resumed at any step repeats the uninterrupted one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

PURPOSES = ("initialisation", "epoch", "labels", "limit")


def generator(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """Generator of its own for one purpose at one place of a run."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), *place])


def initial_seed(seed: int) -> int:
    """Seed of the initial weights of a run."""
    return int(generator(seed, "initialisation").integers(2**62))


@contextlib.contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Let torch's generators be reseeded inside, and leave them as they were found."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def reseed(value: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of this device; far cheaper than `torch.manual_seed`."""
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(value)


@dataclass(frozen=True)
class EpochPlan:
    """All the chance of one epoch, drawn beforehand.

    Attributes
    ----------
    order : list of (B,) int64 tensors
        Positions of the training alerts of each step.
    symmetry : list of (B,) int64 tensors
        Which of the eight symmetries each alert is seen under; zeros without augmentation.
    seeds : list of int
        Seed of each step, for dropout.
    """

    order: list[torch.Tensor]
    symmetry: list[torch.Tensor]
    seeds: list[int]


def plan_epoch(
    seed: int, epoch: int, count: int, *, batch_size: int, drop_last: bool, augment: bool, device: torch.device
) -> EpochPlan:
    """Draw the order, symmetries and step seeds of an epoch; they depend on `seed` and `epoch` alone."""
    chance = generator(seed, "epoch", epoch)
    order = torch.from_numpy(chance.permutation(count)).to(device)
    symmetry = torch.from_numpy(chance.integers(8 if augment else 1, size=count)).to(device)
    steps = steps_per_epoch(count, batch_size, drop_last)
    seeds = chance.integers(2**62, size=steps).tolist()
    return EpochPlan(list(order.split(batch_size)[:steps]), list(symmetry.split(batch_size)[:steps]), seeds)


def steps_per_epoch(count: int, batch_size: int, drop_last: bool) -> int:
    """Number of optimizer steps; a set smaller than one batch is kept whole.

    A last batch of one alert is left out too, since batch normalisation has no variance there.
    """
    whole, rest = divmod(count, batch_size)
    keep_rest = whole == 0 or (not drop_last and rest > 1)
    return whole + int(keep_rest)
