"""On what machine was this measured? Device, driver, clocks, threads and versions."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import nvidia
from ..training.hardware import device_name

# Name in the record -> field of nvidia-smi.
_GPU = {
    "driver": "driver_version",
    "sm_mhz": "clocks.sm",
    "memory_mhz": "clocks.mem",
    "max_sm_mhz": "clocks.max.sm",
    "power_limit_w": "power.limit",
}


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Device, driver, clocks, threads and versions, as they were after the measurement; keys as in machines.csv."""
    machine = {"device": device_name(device), "type": device.type, "platform": platform.platform()}
    machine |= {"python": platform.python_version(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    machine |= {"cpu_mhz": _cpu_mhz()}
    if device.type == "cuda":
        machine |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        said = nvidia.known(device, list(_GPU.values()))
        machine |= {name: said.get(field) for name, field in _GPU.items()}
    return machine


def _cpu_mhz() -> float | None:
    """Mean clock of the cores, None where the system does not say."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
        return float(np.mean(clocks)) if clocks else None
    return None
