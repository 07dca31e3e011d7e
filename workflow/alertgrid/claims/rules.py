"""By which rules is a claim supported or contradicted? The configuration states them, no figure decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import StudyError


@dataclass(frozen=True)
class Rules:
    """How verdicts are reached.

    Attributes
    ----------
    metric : str
        Metric of claims 1, 2, 4 and 6.
    margin : float
        Claim 1: how much worse than the custom CNN still counts as matching it.
    level : float
        Coverage of the intervals that verdicts rest on.
    baseline : str
        Architecture of the custom CNN, claims 1 and 3.
    domain : str
        Pre-training on galaxies, the one of claim 2.
    others : sequence of str
        Pre-trainings it is said to beat.
    without : str
        Stamps without the difference image, claims 5 and 6.
    precision, mode : str
        Rows of the timing table that claim 3 is judged by, at the largest batch that was measured for
        both networks in one job.
    """

    metric: str = "roc_auc"
    margin: float = 0.005
    level: float = 0.95
    baseline: str = "btsbot_cnn"
    domain: str = "galaxyzoo"
    others: Sequence[str] = ("imagenet", "none")
    without: str = "science_template"
    precision: str = "fp32"
    mode: str = "eager"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Rules:
        """Rules from a mapping of settings; unknown keys are refused."""
        unknown = set(settings) - set(cls.__dataclass_fields__)
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise StudyError(
                f"report.claims.{sorted(unknown)[0]}", "unknown key", f"one of {known}", "correct its name"
            )
        return replace(cls(), **settings)


def verdict(low: float, high: float, threshold: float = 0.0) -> str:
    """Compare an interval with what the claim asks for.

    "supported" when the whole interval lies above `threshold`, "contradicted" when it lies below, "undecided" when it
    holds it, "not measured" without an interval.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        return "not measured"
    if low > threshold:
        return "supported"
    return "contradicted" if high < threshold else "undecided"
