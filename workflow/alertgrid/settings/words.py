"""Words by which settings name cells: which cells a key fits, and what a mistyped word was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

ALL = "all"  # as a key, it fits every cell
PERMUTED = "permuted"
REMOVE = "remove it, or see the comments in config.yaml"


def fits(words: str, name: str) -> bool:
    """Whether every word of a key is one of a cell's name, both parted by "-"; "all" fits every cell.

    Examples
    --------
    >>> fits("maxvit_tiny-image", "maxvit_tiny-galaxies-image")
    True
    """
    return set(words.split("-")) <= {ALL, *name.split("-")}


def suggestion(
    word: Any, known: Iterable[str], otherwise: str = "remove it, or see the comments in config.yaml"
) -> str:
    """What to do about a mistyped word: the nearest known one, or else `otherwise`."""
    close = difflib.get_close_matches(str(word), [str(name) for name in known], 1)
    return f"did you mean {close[0]!r}?" if close else otherwise
