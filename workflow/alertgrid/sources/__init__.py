"""How alerts of any origin become rows and stamps: one reader per file, one interface.

Every reader module has two functions. `read(**settings)` yields `Chunk`s of bounded size. `inputs(**settings)` lists
the files that are read, so that a change of one is noticed and their SHA-256 can be kept with the dataset; Snakemake
asks for it, so a reader of files imports what decodes them only when it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ..errors import StudyError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One alert that was not taken: where it stood and why. Unknown numbers are -1, unknown names empty."""

    file: str
    row: int
    candid: str
    object_id: str
    reason: str


@dataclass(frozen=True)
class Chunk:
    """Some alerts in reading order.

    Attributes
    ----------
    catalogue : DataFrame
        The columns of `columns.CATALOGUE_COLUMNS`, and any kept extra columns; n rows.
    metadata : ndarray (n, 25), float32
        In the order of `columns.METADATA_COLUMNS`, -999 where ZTF has no value.
    stamps : ndarray (n, 3, 63, 63), float32
        Science, template, difference; each cutout of unit L2 norm.
    refused : list of Refusal
        Alerts met in this piece of the input and not taken.
    """

    catalogue: pd.DataFrame
    metadata: np.ndarray
    stamps: np.ndarray
    refused: list[Refusal] = field(default_factory=list)


READERS = {
    "btsbot": "alertgrid.sources.btsbot",
    "avro": "alertgrid.sources.avro",
    "simulation": "alertgrid.sources.simulation",
    "des": "alertgrid.sources.des",
}


SHARED = ("simulation",)  # readers whose work processes can share: their `read` takes `workers`


def read_alerts(name: str, settings: Mapping[str, Any], workers: int = 1) -> Iterator[Chunk]:
    """Alerts by the reader of this name, from `workers` processes where it can share its work.

    Raises
    ------
    StudyError
        No reader has this name, or what the reader says of its settings and files.
    """
    return reader(name).read(**settings, **({"workers": workers} if name in SHARED else {}))


def reader(name: str) -> ModuleType:
    """Module of a reader, with `read` and `inputs`; only this one is imported, since some need GalSim or astropy.

    Raises
    ------
    StudyError
        No reader has this name.
    """
    if name not in READERS:
        raise StudyError("data.source", f"{name!r} is unknown", f"one of {sorted(READERS)}", "correct it")
    return import_module(READERS[name])
