"""What does a profile say about the place where a study runs? Read for estimates and for submitting the controller."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import StudyError
from ..options import setting

# How a rule asks for GPUs -> submitit's word for it.
GPU_KEYS = {"gpu": "gpus_per_node", "gres": "gres"}


@dataclass(frozen=True)
class Profile:
    """Who starts jobs, how many trainings at once and on what.

    `executor` is `slurm` or `local`; `site` and `training` are what small jobs and trainings ask of Slurm: partition,
    account, and for trainings gres or gpus. `devices` is how many GPUs share a training.
    """

    executor: str
    concurrency: int
    device: str
    site: dict[str, Any]
    training: dict[str, Any]
    devices: int = 1


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
    devices = dict(map(setting, (defaults | train).get("machine", "").split())).get("devices", 1)
    if settings.get("executor") == "slurm":
        training = _asked(defaults | train)
        device = device_of("slurm", defaults | train)
        return Profile("slurm", int(settings["jobs"]), device, _asked(defaults), training, devices)
    return Profile("local", _local_concurrency(settings), device_of("local"), {}, {}, devices)


def device_of(executor: str, asked: Collection[str] = ()) -> str:
    """What trainings run on: on Slurm a GPU if the names of the resources they ask for say so, else what is here."""
    gpu = GPU_KEYS.keys() & set(asked) if executor == "slurm" else Path("/dev/nvidia0").exists()
    return "cuda" if gpu else "cpu"


def _asked(resources: dict[str, Any]) -> dict[str, Any]:
    """Partition, account and GPUs that resources name, in submitit's words for Slurm."""
    names = {"slurm_partition": "partition", "slurm_account": "account", **GPU_KEYS}
    return {name: resources[key] for key, name in names.items() if resources.get(key)}


def _local_concurrency(settings: dict[str, Any]) -> int:
    """Trainings at once on one machine: bounded by cores, and by what the profile lets share a GPU."""
    cores = settings.get("cores", "all")
    cores = os.cpu_count() or 1 if cores == "all" else int(cores)
    at_once = cores // settings.get("set-threads", {}).get("train", 1)
    return max(min(at_once, settings.get("resources", {}).get("gpu", at_once)), 1)
