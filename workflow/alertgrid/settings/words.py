"""Words by which settings name cells: which cells a key fits, and what a mistyped word was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import StudyError

ALL = "all"  # as a key, it fits every cell
PERMUTED = "permuted"
REMOVE = "remove it, or see the comments in config.yaml"


def fits(words: str, name: str) -> bool:
    """Whether every word of a key is one of a cell's name, both parted by "-"; "all" fits every cell.

    A network without an input size fits the same network at any.

    Examples
    --------
    >>> fits("maxvit_tiny-image", "maxvit_tiny@224-galaxies-image")
    True
    """
    own = name.split("-")
    return set(words.split("-")) <= {ALL, *own, *(named_size(word)[0] for word in own)}


def named_size(name: str) -> tuple[str, int | None]:
    """Name of the network and the side in pixels it is asked for, as in `maxvit_tiny@224`; None without one."""
    plain, at, side = name.partition("@")
    if at and not side.isdigit():
        raise StudyError(
            f"architecture {name!r}", f"{side!r} is no number of pixels", "name@pixels", "correct the name"
        )
    return plain, int(side) if at else None


def own_settings(models: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """Sections of `models.architectures` that hold for a network, those of the network at any input size first.

    Examples
    --------
    >>> own_settings({"architectures": {"a@224": {"head": {}}, "a": {"cnn": {}}, "b": {}}}, "a@224")
    {'a': {'cnn': {}}, 'a@224': {'head': {}}}
    """
    sections = models.get("architectures") or {}
    names = dict.fromkeys([named_size(architecture)[0], architecture])
    return {name: sections[name] for name in names if sections.get(name)}


def asked_size(models: Mapping[str, Any], architecture: str) -> str | int:
    """Input size that a network is asked for: "native" or pixels; a size in its name comes first.

    Examples
    --------
    >>> asked_size({"input_size": 128, "architectures": {"a": {"input_size": 96}}}, "a")
    96
    """
    size = models.get("input_size", "native")
    for section in own_settings(models, architecture).values():
        size = section.get("input_size", size)
    return named_size(architecture)[1] or size


def suggestion(
    word: Any, known: Iterable[str], otherwise: str = "remove it, or see the comments in config.yaml"
) -> str:
    """What to do about a mistyped word: the nearest known one, or else `otherwise`."""
    close = difflib.get_close_matches(str(word), [str(name) for name in known], 1)
    return f"did you mean {close[0]!r}?" if close else otherwise
