"""Can a score be read as a probability? Reliability of scores, its error, and the part of it that is chance.

The calibration error is a mean of absolute values, so that chance alone makes it positive, the more the fewer alerts a
bin holds (Brocker 2012, Climate Dynamics 39, 655; Roelofs et al. 2022, AISTATS, arXiv 2012.08668): a perfectly
calibrated classifier shows 0.07 on two hundred alerts. An interval around it would be one around the wrong number, so
there is none; what a calibrated classifier with the same scores would show stands beside it instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """Reliability curve: (bins,) sums of score, of positives and of alerts."""

    score: np.ndarray
    positive: np.ndarray
    count: np.ndarray


def score_bins(score: np.ndarray, bins: int) -> np.ndarray:
    """Bin of each score (n,), of equal width; the last one includes 1."""
    return np.minimum((score * bins).astype(int), bins - 1)


def reliability(label: np.ndarray, score: np.ndarray, bins: int = 15) -> Reliability:
    """Sums over bins of equal width in score."""
    index = score_bins(score, bins)
    return Reliability(*(np.bincount(index, weights, bins).astype(float) for weights in (score, label, None)))


def expected_calibration_error(curve: Reliability) -> float:
    """Mean distance of score and fraction of positives over bins, weighted by alerts (Naeini et al. 2015)."""
    total = curve.count.sum()
    return float(np.abs(curve.score - curve.positive).sum() / total) if total else np.nan


@dataclass(frozen=True)
class Chance:
    """What makes up the calibration error of a perfectly calibrated classifier with given scores.

    Attributes
    ----------
    place : (n,) int
        Source and bin of each alert as one number, source * bins + bin.
    deviation : (n,) float
        Standard deviation of its label, were its score the probability.
    bins : int
    """

    place: np.ndarray
    deviation: np.ndarray
    bins: int

    @classmethod
    def of(cls, score: np.ndarray, source: np.ndarray, bins: int) -> Chance:
        """Prepare alerts with scores in [0, 1] and the numbers of their sources."""
        return cls(source * bins + score_bins(score, bins), np.sqrt(score * (1 - score)), bins)

    def error(self, alerts: np.ndarray | slice = slice(None)) -> float:
        """Calibration error expected by chance on some of the alerts (positions); NaN without any.

        The gap of a bin, score minus positives, then has mean 0 and variance V, and its absolute value the mean
        sqrt(2 V / pi), exact where the gap is normal (many alerts) and up to some percent too great where it is not.

        # ASSUME: alerts of a source share its label, so that within a source and bin the deviations add up.
        """
        place, deviation = self.place[alerts], self.deviation[alerts]
        if not len(place):
            return np.nan
        size = (int(place.max()) // self.bins + 1) * self.bins
        together = np.bincount(place, deviation, size).reshape(-1, self.bins)
        return float(np.sqrt(2 / np.pi * (together**2).sum(axis=0)).sum() / len(place))
