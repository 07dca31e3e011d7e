"""On what machine was this measured? Device, driver, clocks, threads and versions."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .training.hardware import device_name

_QUERY = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit"


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Device, driver, clocks, threads and versions, as they were after the measurement."""
    machine = {"device": device_name(device), "type": device.type, "platform": platform.platform()}
    machine |= {"python": platform.python_version(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    if device.type == "cuda":
        machine |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        machine |= {"gpu": _nvidia_smi()}
    return machine | {"cpu_mhz": _cpu_mhz()}


def _nvidia_smi() -> dict[str, str]:
    """Driver, clocks and power limit as nvidia-smi gives them; empty where it cannot be run."""
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(_QUERY.split(","), (part.strip() for part in text.splitlines()[0].split(",")), strict=False))


def _cpu_mhz() -> float | None:
    """Mean clock of the cores, None where the system does not say."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
        return float(np.mean(clocks)) if clocks else None
    return None
