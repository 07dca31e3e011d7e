"""Which files and folders does a study name, and are they there? Asked before any job, so nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import StudyError
from ..sources import reader
from .study import expand_path
from .words import named_size

# Settings of readers and corpora that name files or folders; "$NAME" in them is an environment variable.
KEYS = {"folder", "file", "labels", "history", "images"}
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin", "config.json", "manifest.json")


def existing_paths(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings with environment variables in paths replaced.

    Raises
    ------
    StudyError
        A variable is not set, or a path does not exist; `where` and the key are named.
    """
    result = dict(settings)
    for name in KEYS & result.keys():
        result[name] = expand_path(str(result[name]), f"{where}.{name}")
        if not Path(result[name]).exists():
            raise StudyError(f"{where}.{name}", f"{result[name]} does not exist", "a file or folder", "correct it")
    return result


def local_path(spec: Mapping[str, Any], architecture: str) -> str:
    """File or folder of local weights, for a network at whatever input size."""
    return (spec.get("folder") or spec["file"]).replace("{architecture}", named_size(architecture)[0])


def local_specs(pretraining: Mapping[str, Mapping[str, Any]], grid: pd.DataFrame, where: str) -> dict[str, dict]:
    """Pre-trainings with the paths of local weights filled in; those that the grid uses must exist.

    Raises
    ------
    StudyError
        As `existing_paths`.
    """
    result = {name: dict(spec) for name, spec in pretraining.items()}
    for name, spec in result.items():
        for key in {"folder", "file"} & spec.keys():
            spec[key] = expand_path(str(spec[key]), f"{where}.{name}.{key}")
            for architecture in grid.loc[grid["pretraining"] == name, "architecture"].unique():
                existing_paths({key: local_path(spec, architecture)}, f"{where}.{name}")
    return result


def weight_files(path: str | Path) -> list[str]:
    """Files that local weights are read from: those of a folder that are there, or the file itself."""
    path = Path(path)
    return [str(path / name) for name in WEIGHT_FILES if (path / name).is_file()] if path.is_dir() else [str(path)]


def source_files(data: Mapping[str, Any]) -> list[Path]:
    """Files that the reader of a study's alerts will open; of those that are not there it will tell itself."""
    if not KEYS & data.keys():
        return []  # made from settings alone, by packages that are not needed to ask
    files = reader(data["source"]).inputs(**{key: data[key] for key in data if key not in ("source", "dtype")})
    return [path for path in files if path.is_file()]
