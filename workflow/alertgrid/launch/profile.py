"""What does a profile say about the place where a study runs? Read for estimates and for submitting the controller."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import StudyError

GPU_KEYS = ("gpu", "gres")


@dataclass(frozen=True)
class Profile:
    """Who starts jobs (`slurm`, `local`), how many trainings at once, on what, and the site's partition and account."""

    executor: str
    concurrency: int
    device: str
    site: dict[str, Any]


def read_profile(path: str | Path) -> Profile:
    """Read the facts of a profile.

    Parameters
    ----------
    path : path
        A profile's folder or its file.

    Raises
    ------
    StudyError
        There is no such profile.
    """
    path = Path(path)
    file = path / "profile.yaml" if path.is_dir() else path
    if not file.exists():
        raise StudyError(str(path), "there is no such profile", "a folder with profile.yaml", "see profiles/")
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    defaults, train = settings.get("default-resources", {}), settings.get("set-resources", {}).get("train", {})
    if settings.get("executor") == "slurm":
        site = {"partition": defaults.get("slurm_partition"), "account": defaults.get("slurm_account")}
        return Profile("slurm", int(settings["jobs"]), "cuda" if _wants_gpu(train) else "cpu", site)
    return Profile("local", _local_concurrency(settings), _local_device(), {})


def _wants_gpu(resources: dict[str, Any]) -> bool:
    """Whether a rule asks for a GPU."""
    return any(resources.get(key) for key in GPU_KEYS)


def _local_concurrency(settings: dict[str, Any]) -> int:
    """Trainings at once on one machine: bounded by cores, and by what the profile lets share a GPU."""
    cores = settings.get("cores", "all")
    cores = os.cpu_count() or 1 if cores == "all" else int(cores)
    at_once = cores // settings.get("set-threads", {}).get("train", 1)
    return max(min(at_once, settings.get("resources", {}).get("gpu", at_once)), 1)


def _local_device() -> str:
    """Whether this machine has an NVIDIA GPU, without importing torch."""
    return "cuda" if Path("/dev/nvidia0").exists() else "cpu"
