"""The eight symmetries of the square, applied to whole batches on the device that holds them.

Two fair flips and a fair rotation by 90 degrees, as published, are one uniform draw among these eight.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

SYMMETRIES = 8


@functools.cache
def symmetry_table(size: int, device: torch.device) -> torch.Tensor:
    """Where each pixel of each view comes from, (8, size * size) int64; view 0 is the stamp itself."""
    pixels = np.arange(size * size).reshape(size, size)
    views = [np.rot90(flipped, turns) for flipped in (pixels, pixels[:, ::-1]) for turns in range(4)]
    return torch.from_numpy(np.stack(views).reshape(SYMMETRIES, -1)).to(device)


def apply_symmetry(stamps: torch.Tensor, symmetry: torch.Tensor) -> torch.Tensor:
    """View each stamp under its own symmetry.

    Parameters
    ----------
    stamps : (B, C, S, S) tensor
    symmetry : (B,) int64 tensor
        In [0, 8), on the same device.

    Returns
    -------
    (B, C, S, S) tensor
    """
    batch, channels, size, _ = stamps.shape
    source = symmetry_table(size, stamps.device)[symmetry]
    source = source[:, None].expand(batch, channels, size * size)
    return stamps.reshape(batch, channels, size * size).gather(2, source).view(stamps.shape)
