"""Do the words of a study mean anything? Networks, pre-trainings, stamps and cells that settings are keyed by or name.

A mistyped word would change nothing, and the study would train what nobody asked for. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ..columns import STAMP_SETS
from ..encoders import ENCODERS
from ..errors import StudyError
from ..grid import INPUTS, METADATA_NET, possible_cells, rule_fits
from .words import ALL, PERMUTED, fits, suggestion

# Pre-trainings that are published under these names; claims may speak of them in a study that has none.
PUBLISHED = ("imagenet", "galaxyzoo")
TIMED = "btsbot_cnn"  # beside every network, whether in the grid or not
AXES = {"architecture": "network", "pretraining": "pre-training", "inputs": "kind of inputs", "stamps": "set of stamps"}
CLAIMS = {"baseline": "network", "domain": "pre-training", "others": "pre-training", "without": "set of stamps"}


def check_words(settings: Mapping[str, Any], where: str) -> None:
    """Refuse words that stand for nothing.

    Parameters
    ----------
    settings : mapping
        The resolved study.
    where : str
        Name of the study, for errors.

    Raises
    ------
    StudyError
        Names the key, the known words and the nearest.
    """
    known = _known(settings)
    for key, word, kind in (*_keys(settings), *_values(settings)):
        if word not in known[kind]:
            expected = f"one of {', '.join(known[kind])}" if known[kind] else f"none: the study has no {kind}"
            raise StudyError(f"{where}.{key}", f"{word!r} is no known {kind}", expected, suggestion(word, known[kind]))


def unused_keys(settings: Mapping[str, Any], grid: pd.DataFrame) -> dict[str, str]:
    """Keys that are understood but fit nothing in this study, such as those that a block of defaults has for others.

    Names in `report.claims` are not among them: a claim that cannot be judged says so in the report.

    Parameters
    ----------
    settings : mapping
        The resolved study.
    grid : DataFrame
        Its runs.

    Returns
    -------
    dict of str to str
        Dotted key -> what that means for the study.
    """
    networks = grid["architecture"].unique()
    names = [*grid["cell"].unique(), *networks]
    unused = []
    for place, table, start in _tables(settings):
        fitting = [f"{network}-{start}" for network in networks] if start else names
        fitting = [*fitting, TIMED] if place == "models.architectures" else fitting
        unused += [f"{place}.{words}" for words in table if not any(fits(words, name) for name in fitting)]
    cells = possible_cells(*(settings["grid"][axis] for axis in ("architectures", "pretraining", "inputs", "stamps")))
    rules = enumerate(settings["grid"].get("exclude", ()))
    unused += [f"grid.exclude.{i}" for i, rule in rules if not any(rule_fits(rule, cell) for cell in cells)]
    return dict.fromkeys(unused, "fits nothing in this study") | _without_baseline(settings["report"], grid)


def _without_baseline(report: Mapping[str, Any], grid: pd.DataFrame) -> dict[str, str]:
    """The baseline where no run of the grid is one of its own with random weights, which others are compared with."""
    networks = grid[grid["architecture"] != METADATA_NET]
    compared = networks[(networks["architecture"] == report.get("baseline")) & (networks["pretraining"] == "none")]
    if "baseline" not in report or networks.empty or len(compared):
        return {}
    lost = f"names {report['baseline']}, which the grid does not train from random weights"
    return {"report.baseline": f"{lost}: the report will hold no differences from a baseline"}


def _known(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Kind of word -> those that mean something, the study's own first."""
    networks = [*dict.fromkeys([*settings["grid"]["architectures"], *ENCODERS]), METADATA_NET]
    starts = list(dict.fromkeys(["none", *settings["pretraining"], *PUBLISHED]))
    return {
        "network": networks,
        "pre-training": starts,
        "kind of inputs": list(INPUTS),
        "set of stamps": list(STAMP_SETS),
        "word of a cell": list(dict.fromkeys([ALL, *networks, *starts, *INPUTS, *STAMP_SETS, PERMUTED])),
        "column of data.keep_columns": settings["data"].get("keep_columns", []),
        "network or pre-training": [ALL, *networks, *starts],
    }


def _tables(settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Settings that are keyed by words of cells: where each stands, the table, the pre-training that it is for."""
    packing = settings.get("packing", 0)
    yield "training.overrides", settings["training"].get("overrides", {}), ""
    yield "packing", packing if isinstance(packing, Mapping) else {}, ""
    yield "grid.seeds_of", settings["grid"].get("seeds_of", {}), ""
    yield "models.architectures", settings["models"].get("architectures", {}), ""
    for name, spec in settings["pretraining"].items():
        yield f"pretraining.{name}.training.overrides", spec.get("training", {}).get("overrides", {}), name


def _keys(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every word that is a key: where it stands, the word, its kind."""
    kinds = {"grid.seeds_of": "network", "models.architectures": "network"}
    for place, table, start in _tables(settings):
        kind = "network or pre-training" if start else kinds.get(place, "word of a cell")
        for key in table:
            words = [key] if kind == "network" else key.split("-")
            yield from ((f"{place}.{key}", word, kind) for word in words)


def _values(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every word that is a value: where it stands, the word, its kind."""
    for number, rule in enumerate(settings["grid"].get("exclude", ())):
        yield from ((f"grid.exclude.{number}.{axis}", word, AXES[axis]) for axis, word in rule.items())
    report = settings["report"]
    claims = report.get("claims", {})
    for key, kind in CLAIMS.items():
        words = claims.get(key, ())
        yield from ((f"report.claims.{key}", word, kind) for word in ([words] if isinstance(words, str) else words))
    yield from (("report.external", name, "column of data.keep_columns") for name in report.get("external", ()))
    if "baseline" in report:
        yield "report.baseline", report["baseline"], "network"
