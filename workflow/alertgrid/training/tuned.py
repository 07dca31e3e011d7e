"""The best settings of a search enter a run: read from best.yaml, said aloud, nothing beside them changed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import StudyError
from ..settings.study import merge

Settings = dict[str, Any]


def apply_best(path: str | Path, training: Mapping[str, Any], models: Mapping[str, Any]) -> tuple[Settings, Settings]:
    """Recipe and settings of the networks with the best values of a search in place of the study's.

    Parameters
    ----------
    path : path
        best.yaml of `tuning.results`.
    training, models : mapping
        As the study states them.

    Raises
    ------
    StudyError
        The file is absent, or holds no settings.
    """
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["settings"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        problem = f"cannot be read ({type(error).__name__}: {error})"
        raise StudyError(str(path), problem, "the best settings of a finished search", "tune again") from None
    for name, value in _flat(found):
        print(f"tuned: {name} = {value}, from {path}", file=sys.stderr, flush=True)
    return merge(training, found.get("training", {})), merge(models, found.get("models", {}))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names and their values."""
    rows = []
    for key, value in settings.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return rows
