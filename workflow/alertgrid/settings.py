"""What does the study ask for? Defaults and study merged, checked against the schema, before anything runs."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from .errors import StudyError


def resolve_study(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the chosen study: the defaults, overridden by the study, checked.

    Parameters
    ----------
    config : mapping
        `study` (a name), `defaults` (a mapping) and `studies` (name -> mapping). Mappings merge key by key, everything
        else replaces; an empty value (null) takes an inherited key away.
    schema : mapping
        JSON schema of one resolved study.

    Returns
    -------
    dict
        The resolved settings.

    Raises
    ------
    StudyError
        Names the dotted key, what was found and what is allowed.
    """
    name, studies = config.get("study"), config.get("studies") or {}
    _check_top(config)
    if name not in studies:
        raise StudyError("config key study", f"{name!r} is unknown", f"one of {sorted(studies)}", _near(name, studies))
    settings = merge(config.get("defaults") or {}, studies[name] or {})
    check(settings, schema, f"studies.{name}")
    return settings


def _check_top(config: Mapping[str, Any]) -> None:
    """Refuse top-level keys nobody reads, such as a mistyped `--config` key."""
    allowed = ("study", "defaults", "studies", "partial")
    for key in config:
        if key not in allowed:
            raise StudyError(f"config key {key}", "unknown key", f"one of {list(allowed)}", _near(key, allowed))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings key by key; lists and scalars of `over` replace, None removes."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def check(settings: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    """Refuse settings that the schema does not allow, naming the first key concerned."""
    errors = sorted(Draft202012Validator(schema).iter_errors(settings), key=lambda error: list(map(str, error.path)))
    if not errors:
        return
    error = errors[0]
    key = ".".join([where, *map(str, error.path)])
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in allowed)
        raise StudyError(f"{key}.{unknown}", "unknown key", f"one of {allowed}", _near(unknown, allowed))
    meaning = error.schema.get("description", error.message)
    raise StudyError(key, error.message, meaning, "correct the value in config.yaml")


def _near(name: Any, allowed) -> str:
    """A suggestion for a mistyped name."""
    close = difflib.get_close_matches(str(name), list(allowed), 1)
    return f"did you mean {close[0]!r}?" if close else "remove it, or see the comments in config.yaml"


def expand_path(value: str, where: str) -> str:
    """Replace `$NAME` by the environment variable.

    Raises
    ------
    StudyError
        The variable is not set.
    """
    unset = [name for name in re.findall(r"\$\{?(\w+)\}?", value) if name not in os.environ]
    if unset:
        raise StudyError(
            where,
            f"the environment variable {unset[0]} is not set",
            "the folder of the data",
            f"export {unset[0]}=<folder>, or write the folder into config.yaml",
        )
    return os.path.expandvars(value)


def override(base: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]], *traits: str) -> dict[str, Any]:
    """Apply, in their order, the overrides whose every word (parted by "-") is among the traits of a run.

    Examples
    --------
    >>> override({"epochs": 25}, {"maxvit_tiny": {"epochs": 3}}, "maxvit_tiny", "none", "image")
    {'epochs': 3}
    """
    result = dict(base)
    for words, changes in overrides.items():
        if set(words.split("-")) <= set(traits):
            result = merge(result, changes)
    return result


def run_recipe(training: Mapping[str, Any], *traits: str) -> dict[str, Any]:
    """Recipe of a run with these traits: the study's, with the overrides that fit."""
    recipe = {key: value for key, value in training.items() if key != "overrides"}
    return override(recipe, training.get("overrides", {}), *traits)


def pretraining_recipe(training: Mapping[str, Any], own: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """Recipe of a pre-training: the study's, with the changes of the pre-training, then those for the architecture."""
    recipe = {key: value for key, value in training.items() if key not in ("overrides", "tuned")} | own
    return override(recipe, recipe.pop("overrides", {}), architecture)
