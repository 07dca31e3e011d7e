"""What does the study ask for? Defaults and study merged, checked against the schema, before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from ..errors import StudyError
from .values import check_values
from .vocabulary import check_words
from .words import fits, suggestion


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
        raise StudyError(
            "config key study", f"{name!r} is unknown", f"one of {sorted(studies)}", suggestion(name, studies)
        )
    _check_name(str(name))
    settings = merge(config.get("defaults") or {}, studies[name] or {})
    check(settings, schema, f"studies.{name}")
    check_values(settings, f"studies.{name}")
    check_words(settings, f"studies.{name}")
    return settings


def _check_name(name: str) -> None:
    """Refuse a study whose name cannot stand as it is in paths and shell commands."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        expected = "letters, digits, '_', '.' and '-', the first no '.' or '-': the results' folder has this name"
        raise StudyError("config key study", f"{name!r} cannot name a folder", expected, "rename it under studies")


def _check_top(config: Mapping[str, Any]) -> None:
    """Refuse top-level keys nobody reads, such as a mistyped `--config` key."""
    allowed = ("study", "defaults", "studies", "partial")
    for key in config:
        if key not in allowed:
            raise StudyError(f"config key {key}", "unknown key", f"one of {list(allowed)}", suggestion(key, allowed))


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
        raise StudyError(f"{key}.{unknown}", "unknown key", f"one of {allowed}", suggestion(unknown, allowed))
    meaning = _meaning(error, schema)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        meaning = error.schema.get("properties", {}).get(missing, {}).get("description", f"a key {missing}")
        raise StudyError(f"{key}.{missing}", "is missing", meaning, "add it; see the comments in config.yaml")
    known = error.validator_value if error.validator == "enum" else ()
    remedy = suggestion(error.instance, known, _number_meant(error) or "correct the value in config.yaml")
    raise StudyError(key, error.message, meaning, remedy)


def _meaning(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What the schema says of the key concerned, or of the list or table that an entry stands in."""
    meaning, node, before = error.message, schema, ""
    for step in list(error.absolute_schema_path)[:-1]:
        node = node[step]
        if before == "properties":  # a key of its own, of which its parent's description says nothing
            meaning = error.message
        if isinstance(node, Mapping):
            node = _resolved(node, schema)
            meaning = node.get("description", meaning)
        before = step
    return meaning


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A part of the schema with what it refers to; its own description counts."""
    own = dict(node)
    name = own.pop("$ref", "").removeprefix("#/$defs/")
    return _resolved(schema["$defs"][name], schema) | own if name else own


def _number_meant(error: ValidationError) -> str:
    """How YAML wants a number that it read as text, such as 1e-4; empty for anything else."""
    if error.validator_value not in ("number", "integer") or not isinstance(error.instance, str):
        return ""
    parts = re.fullmatch(r"([-+]?\d+)(\.\d*)?(?:[eE]([-+]?)(\d+))?", error.instance.strip())
    if not parts:
        return ""
    whole, fraction, sign, power = parts.groups()
    if power is None or error.validator_value == "integer":
        return f"YAML needs {float(parts[0]):.15g}, without quotes"
    return f"YAML needs {whole}{fraction or '.0'}e{sign or '+'}{power}, without quotes"


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


def override(base: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Apply, in their order, the overrides whose words fit the name of a cell (`words.fits`).

    Examples
    --------
    >>> override({"epochs": 25}, {"maxvit_tiny": {"epochs": 3}}, "maxvit_tiny-none-image")
    {'epochs': 3}
    """
    result = dict(base)
    for words, changes in overrides.items():
        if fits(words, name):
            result = merge(result, changes)
    return result


def run_recipe(training: Mapping[str, Any], cell: str) -> dict[str, Any]:
    """Recipe of the runs of a cell: the study's, with the overrides that fit."""
    recipe = {key: value for key, value in training.items() if key != "overrides"}
    return override(recipe, training.get("overrides", {}), cell)


def pretraining_recipe(training: Mapping[str, Any], own: Mapping[str, Any], encoder: str) -> dict[str, Any]:
    """Recipe of a pre-training: the study's, with the changes of the pre-training, then those that fit the encoder."""
    recipe = {key: value for key, value in training.items() if key not in ("overrides", "tuned")} | own
    return override(recipe, recipe.pop("overrides", {}), encoder)
