"""Settings of the networks: the published values, overrides per architecture, and their checks. Needs no torch.

Source of the values: BTSbot 2.0.7 (prod_config.json and the configurations of its pre-training study in the history).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..errors import StudyError
from ..settings.words import named_size, own_settings

NORMALISATIONS = ("l2", "unit", "imagenet", "sigma3")
FUSION_MODES = ("clean", "compat")

# Both published configurations of the custom CNN.
# ASSUME: the production network is multi-modal, so the dense widths of an image-only twin are not published: 128, 8.
CNN_CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "production": {"channels": [32, 64], "kernel": 5, "dropouts": [0.5, 0.55], "widths": [128, 8], "dropout": 0.2},
    "image_only": {"channels": [64, 16], "kernel": 3, "dropouts": [0.45, 0.65], "widths": [128], "dropout": 0.45},
}

DEFAULTS: dict[str, Any] = {
    "input_normalisation": "l2",
    "input_size": "native",
    "head": {"widths": [256, 8], "dropout": 0.7},
    "cnn": {"configuration": "production"},
    "metadata": {"widths": [128, 128], "dropout": 0.25},
    "fusion": {"mode": "clean", "widths": [128, 32], "dropout": 0.6},
    "joint": {"widths": [128, 32], "dropout": 0.6, "metadata_widths": [256, 8], "metadata_dropout": 0.63},
}
# The network of arXiv 2203.07390 is defined on stamps scaled by their own 3 sigma.
_OWN: dict[str, dict[str, Any]] = {"acero_cnn": {"input_normalisation": "sigma3"}}
# Lists that have one value per layer of a network with a fixed number of layers.
_PAIRS = ("cnn.channels", "cnn.dropouts", "metadata.widths", "joint.metadata_widths")
_CNN_KEYS = {"configuration", *CNN_CONFIGURATIONS["production"]}


def resolve_settings(architecture: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Complete settings of one architecture.

    Later ones win: the defaults, `settings`, what the architecture is defined with, under `architectures` in `settings`
    the sections of its name without and with an input size, and the size in the name itself (`maxvit_tiny@224`).

    Returns
    -------
    dict
        Keys of `DEFAULTS`, plain as JSON; `cnn` holds channels, kernel, dropouts, widths and dropout of the chosen
        configuration.

    Raises
    ------
    StudyError
        An unknown key or a value out of range, named by its dotted key.
    """
    given = dict(settings or {})
    overrides = own_settings(given, architecture)
    given.pop("architectures", None)
    resolved = copy.deepcopy(DEFAULTS)
    _update(resolved, given, "models")
    _update(resolved, _OWN.get(architecture, {}), "models")
    for name, section in overrides.items():
        _update(resolved, section, f"models.architectures.{name}")
    if side := named_size(architecture)[1]:
        resolved["input_size"] = side
    resolved["cnn"] = _cnn(resolved["cnn"])
    _check(resolved)
    return resolved


def _update(target: dict[str, Any], given: Mapping[str, Any], where: str) -> None:
    """Merge one layer of settings, section by section."""
    for key, value in given.items():
        allowed = _CNN_KEYS if where.endswith(".cnn") else set(target)
        if key not in allowed:
            raise StudyError(f"{where}.{key}", "is an unknown key", f"one of {sorted(allowed)}", "correct or remove it")
        if isinstance(target.get(key), dict):
            _update(target[key], value, f"{where}.{key}")
        else:
            target[key] = list(value) if isinstance(value, tuple) else value


def _cnn(given: dict[str, Any]) -> dict[str, Any]:
    """A published configuration of the custom CNN with single values replaced."""
    name = given.get("configuration")
    _one_of("models.cnn.configuration", name, tuple(CNN_CONFIGURATIONS))
    return {**copy.deepcopy(CNN_CONFIGURATIONS[name]), **given}


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse values no network can be built with."""
    _one_of("models.input_normalisation", settings["input_normalisation"], NORMALISATIONS)
    _one_of("models.fusion.mode", settings["fusion"]["mode"], FUSION_MODES)
    size = settings["input_size"]
    if size != "native" and not (isinstance(size, int) and 16 <= size <= 1024):
        raise StudyError("models.input_size", f"is {size!r}", "native, or pixels from 16 to 1024", "correct it")
    for section in ("head", "cnn", "metadata", "fusion", "joint"):
        for key, value in settings[section].items():
            _check_number(f"models.{section}.{key}", key, value)
            if f"{section}.{key}" in _PAIRS and not (isinstance(value, list) and len(value) == 2):
                raise StudyError(f"models.{section}.{key}", f"is {value!r}", "a list of two values", "correct it")


def _check_number(where: str, key: str, value: Any) -> None:
    """Dropouts lie in [0, 1); widths and channels are positive."""
    if "dropout" in key:
        shares = value if isinstance(value, list) else [value]
        if not all(isinstance(share, int | float) and 0 <= share < 1 for share in shares):
            raise StudyError(where, f"is {value!r}", "a share in [0, 1)", "correct it")
    elif ("widths" in key or key == "channels") and not (
        value and all(isinstance(width, int) and width > 0 for width in value)
    ):
        raise StudyError(where, f"is {value!r}", "a list of positive whole numbers", "correct it")


def _one_of(where: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a word outside a list."""
    if value not in allowed:
        raise StudyError(where, f"is {value!r}", f"one of {', '.join(allowed)}", "correct it")
