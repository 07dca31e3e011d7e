"""Choices of the report: what is compared with what, how sure it is to be, and which policies judge sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..claims.rules import Rules
from ..errors import StudyError
from ..metrics import COMPARABLE
from ..policies import BTSBOT_POLICIES, Policy
from .evaluate import Options


@dataclass(frozen=True)
class ReportSettings:
    """Settings of `write_tables`.

    Attributes
    ----------
    external : sequence of str
        Catalogue columns with scores in [0, 1] of other classifiers; NaN where one has no score.
    baseline : str
        Architecture that others are compared with.
    level, power : float
        Coverage of intervals; power of the smallest detectable difference.
    threshold : float or str
        Score above which an alert is positive; a metric's name chooses it on validation alerts, per run.
    policies : sequence of mappings
        Further policies: name, alerts, score, magnitude, brightest.
    compared : sequence of str
        Metrics of the differences and multipliers.
    magnitude_edges, policy_edges : sequences of float
        Bin edges in mag: of alerts by magpsf, of sources by their brightest alert.
    calibration_bins : int
    claims : mapping
        Fields of `verdicts.Rules`; the level is that of the report unless stated. The baseline is not: what a study
        compares its networks with need not be the custom CNN of the published claims.
    workers : int
        Processes.
    """

    external: Sequence[str] = ()
    baseline: str = "btsbot_cnn"
    level: float = 0.95
    power: float = 0.8
    threshold: float | str = 0.5
    policies: Sequence[Mapping[str, Any]] = ()
    compared: Sequence[str] = ("roc_auc", "average_precision", "f1")
    magnitude_edges: Sequence[float] = tuple(np.arange(16.0, 21.01, 0.25))
    policy_edges: Sequence[float] = tuple(np.arange(17.0, 18.51, 0.25))
    calibration_bins: int = 15
    claims: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ReportSettings:
        """Settings from a mapping.

        Raises
        ------
        StudyError
            An unknown key, an unknown metric, or a level outside (0, 1).
        """
        for key in settings:
            if key not in cls.__dataclass_fields__:
                known = ", ".join(cls.__dataclass_fields__)
                raise StudyError(f"report.{key}", "unknown key", f"one of {known}", "correct its name")
        result = cls(**settings)
        for metric in result.compared:
            if metric not in COMPARABLE:
                raise StudyError("report.compared", repr(metric), f"any of {', '.join(COMPARABLE)}", "correct its name")
        if not (0 < result.level < 1 and 0 < result.power < 1):
            raise StudyError("report.level", f"{result.level}, {result.power}", "level, power in (0, 1)", "correct it")
        return result

    def options(self) -> Options:
        """What every run is judged with."""
        try:
            policies = (*BTSBOT_POLICIES, *(Policy(**policy) for policy in self.policies))
        except TypeError as error:
            expected = f"keys {', '.join(Policy.__dataclass_fields__)}, a name at least"
            raise StudyError("report.policies", str(error), expected, "correct the policy") from None
        return Options(policies, self.threshold, self.policy_edges, self.calibration_bins, self.level)

    def rules(self) -> Rules:
        """How claims are judged."""
        return Rules.of({"level": self.level, **self.claims})
