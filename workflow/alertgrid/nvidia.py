"""What does nvidia-smi say of a GPU: driver, clocks, power?"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import torch


def uuid_of(device: torch.device) -> str:
    """Name by which the driver knows a GPU; its number may differ from torch's, who counts only the visible ones."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def ask(uuid: str, fields: Sequence[str]) -> dict[str, str]:
    """Fields of `nvidia-smi --query-gpu` of one GPU, without units, as text.

    Raises
    ------
    OSError, subprocess.SubprocessError, ValueError
        There is no nvidia-smi, it fails, or it answers something else.
    """
    command = ["nvidia-smi", "-i", uuid, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    return dict(zip(fields, (part.strip() for part in text.split(",")), strict=True))


def known(device: torch.device, fields: Sequence[str]) -> dict[str, str]:
    """As `ask`, for what is only noted down: empty where it cannot be asked."""
    try:
        return ask(uuid_of(device), fields)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
