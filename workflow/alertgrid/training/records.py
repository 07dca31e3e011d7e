"""What does a run leave behind? Weights, history, and a record that explains them without this repository."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save

from .. import nvidia
from ..errors import StudyError
from ..files import atomic_path, read_json, write_csv
from .hardware import device_name

PACKAGES = ("torch", "timm", "numpy", "pandas", "h5py", "safetensors", "scikit-learn")
HISTORY_COLUMNS = (
    "epoch", "step", "learning_rate", "train_loss", "val_loss", "val_auc", "seconds", "alerts_per_second", "best",
)  # fmt: skip


def write_weights(path: str | Path, state: dict[str, torch.Tensor]) -> None:
    """Write a state dict as safetensors, atomically."""
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(plain))


def read_weights(folder: str | Path) -> dict[str, torch.Tensor]:
    """Read the best weights of a run.

    Raises
    ------
    StudyError
        The file is missing or damaged.
    """
    path = Path(folder) / "weights.safetensors"
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own kind for damage, OSError for absence
        raise StudyError(
            str(path), f"cannot be read ({error})", "weights of a finished run", "train that run again"
        ) from None


def read_record(folder: str | Path) -> dict[str, Any]:
    """Read run.json.

    Raises
    ------
    StudyError
        The run is not finished.
    """
    path = Path(folder) / "run.json"
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise StudyError(
            str(path), f"cannot be read ({error})", "the record of a finished run", "train that run first"
        ) from None


def write_history(path: str | Path, history: list[dict[str, float]]) -> None:
    """Write one row per epoch."""
    write_csv(path, pd.DataFrame(history, columns=list(HISTORY_COLUMNS)))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def git_revision() -> str:
    """Commit of this code, `+` when files differ from it; unknown outside a repository."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+" if changed else "")


def hardware(device: torch.device) -> dict[str, Any]:
    """Host, device and driver."""
    found = {"device_name": device_name(device), "host": platform.node(), "cpu_count": os.cpu_count()}
    if device.type == "cuda":
        found["cuda"] = torch.version.cuda
        found["gpu_memory_bytes"] = torch.cuda.get_device_properties(device).total_memory
        found["driver"] = nvidia.known(device, ["driver_version"]).get("driver_version", "unknown")
    return found


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
