"""Do the values of a study fit each other? What a schema cannot say: sums, orders, names that occur once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..errors import StudyError
from ..policies import BTSBOT_POLICIES

WITHOUT_METADATA = "des"  # the source whose metadata columns are the same for every alert
EDGES = ("magnitude_edges", "policy_edges")


def check_values(settings: Mapping[str, Any], where: str) -> None:
    """Refuse values that the study would stumble over later, some only after its last training.

    Parameters
    ----------
    settings : mapping
        The resolved study.
    where : str
        Name of the study, for errors.

    Raises
    ------
    StudyError
        Names the key, what was found and what is allowed.
    """
    report = settings["report"]
    _check_shares(settings["splits"]["shares"], f"{where}.splits.shares")
    for key in EDGES:
        _check_ascending(report.get(key, ()), f"{where}.report.{key}")
    _check_inputs(settings["data"]["source"], settings["grid"]["inputs"], f"{where}.grid.inputs")
    _check_policies([policy["name"] for policy in report.get("policies", ())], f"{where}.report.policies")


def _check_shares(shares: Sequence[float], where: str) -> None:
    """Refuse shares that are not those of a whole."""
    if not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-6):
        problem = f"{list(shares)} sum to {math.fsum(shares):g}"
        raise StudyError(where, problem, "shares of train, val and test that sum to 1", "correct one of them")


def _check_inputs(source: str, inputs: Sequence[str], where: str) -> None:
    """Refuse networks of metadata where the alerts have none."""
    if source == WITHOUT_METADATA and set(inputs) != {"image"}:
        problem = f"{', '.join(inputs)}, but alerts of data.source {source} have no metadata"
        raise StudyError(where, problem, "[image]", "set grid.inputs to [image]")


def _check_ascending(edges: Sequence[float], where: str) -> None:
    """Refuse edges of bins that fall or stand still: such bins hold nothing."""
    for before, after in pairwise(edges):
        if after <= before:
            raise StudyError(where, f"{after:g} follows {before:g}", "edges that ascend", "sort them, each value once")


def _check_policies(names: Sequence[str], where: str) -> None:
    """Refuse policies that the report could not tell apart."""
    taken = [policy.name for policy in BTSBOT_POLICIES]
    for number, name in enumerate(names):
        if name in taken:
            expected = f"a name beside {', '.join(taken)}"
            raise StudyError(f"{where}.{number}.name", f"{name!r} is the name of another policy", expected, "rename it")
        taken.append(name)
