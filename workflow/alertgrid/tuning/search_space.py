"""Which settings may a study search, and which runs use what was found? Checked before any job; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..errors import StudyError
from ..settings.study import check, merge
from ..settings.words import PERMUTED, fits, own_settings

FUSION = "fusion"


def searched_cells(grid: pd.DataFrame, tuning: Mapping[str, Any]) -> pd.DataFrame:
    """Cells that are searched: those of the architectures that have ranges, one row each with the axes.

    A fusion starts from an image run and a metadata run, so it is never searched itself; a control on permuted labels
    takes what was found for its cell.
    """
    kept = grid[(grid["inputs"] != FUSION) & (grid["labels"] == "given") & grid["architecture"].isin(tuning)]
    return kept.drop_duplicates("cell")[["cell", "architecture", "pretraining", "inputs", "stamps"]]


def check_tuning(settings: Mapping[str, Any], grid: pd.DataFrame, schema: Mapping[str, Any], where: str) -> None:
    """Refuse ranges of unknown settings, of impossible values, or of settings that something else fixes.

    Parameters
    ----------
    settings : mapping
        The resolved study.
    grid : DataFrame
        Its runs.
    schema : mapping
        JSON schema of a study.
    where : str
        Name of the study, for errors.

    Raises
    ------
    StudyError
        Names the range, and what is wrong with it.
    """
    tuning, tuned = settings.get("tuning", {}), settings["training"].get("tuned", False)
    if tuned and not tuning:
        raise StudyError(f"{where}.training.tuned", "is true", "ranges under tuning", "add them, or set tuned to false")
    for architecture, search in tuning.items():
        key = f"{where}.tuning.{architecture}"
        if architecture not in set(grid["architecture"]):
            known = sorted(set(grid["architecture"]))
            raise StudyError(key, "is no network of the grid", f"one of {known}", "correct the name")
        for name, bounds in search["ranges"].items():
            _check_range(settings, schema, f"{key}.ranges.{name}", name, bounds)
    if tuning:
        for cell in searched_cells(grid, tuning).to_dict("records"):
            _check_conflicts(settings, cell, where)


def _check_range(settings, schema, key: str, name: str, bounds: Mapping[str, Any]) -> None:
    """Every end or choice of a range must be allowed where it would stand."""
    if "low" in bounds and not bounds["low"] < bounds["high"]:
        raise StudyError(key, f"{bounds['low']} to {bounds['high']}", "low below high", "swap or correct them")
    for value in bounds.get("choices", [bounds.get("low"), bounds.get("high")]):
        changed = value
        for part in reversed(name.split(".")):
            changed = {part: changed}
        try:
            check(merge(settings, changed), schema, "")
        except StudyError as error:
            raise StudyError(key, f"{value!r}: {error.problem}", error.expected, "correct the range") from None


def _check_conflicts(settings: Mapping[str, Any], cell: Mapping[str, str], where: str) -> None:
    """What is searched for a cell must not be fixed for that very cell, since one would silently beat the other."""
    names = set(settings["tuning"][cell["architecture"]]["ranges"])
    trained = (cell["cell"], f"{cell['cell']}-{PERMUTED}")  # its control trains with what was found too
    fixed = {
        f"training.overrides.{words}": {f"training.{key}" for key in changes}
        for words, changes in settings["training"].get("overrides", {}).items()
        if any(fits(words, name) for name in trained)
    }
    for name, section in own_settings(settings["models"], cell["architecture"]).items():
        fixed[f"models.architectures.{name}"] = set(_dotted(section, "models"))
    for place, keys in fixed.items():
        for name in sorted(keys & names):
            problem = f"{name.split('.', 1)[1]} is searched for {cell['cell']} too"
            raise StudyError(f"{where}.{place}", problem, "one of the two", "take it out there, or out of tuning")


def _dotted(settings: Mapping[str, Any], prefix: str) -> list[str]:
    """Nested settings as dotted names."""
    names = []
    for key, value in settings.items():
        name = f"{prefix}.{key}"
        names += _dotted(value, name) if isinstance(value, Mapping) else [name]
    return names
