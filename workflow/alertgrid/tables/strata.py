"""Every metric of a cell by band, source set and magnitude, with intervals; its scores against magnitude."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..comparison import contrast, group
from ..metrics import METRICS, influences
from ..scales import scale_of
from .testset import Part, TestSet

QUANTILES = (0.16, 0.5, 0.84)
_KEY = {
    "cell": ("", "name of the cell or external entrant"),
    "fraction": ("", "share of the training sources, the largest of the cell"),
    "stratum": ("", "band=, set= (source set) or mag= (magpsf of the alert)"),
}
_SCORE = "over alerts and seeds; two thirds of the scores lie between score_low and score_high"
SCHEMAS = {
    "strata": {
        **_KEY,
        "metric": ("", "as in performance.csv, of the test alerts of the stratum"),
        "estimate": ("that of the metric", "mean over seeds"),
        "low": ("that of the metric", "lower end of the interval; empty where `method` says that there is none"),
        "high": ("that of the metric", "upper end of the interval; empty where `method` says that there is none"),
        "level": ("", "coverage the interval is made for"),
        "method": ("", "how the interval was obtained"),
        "n_seeds": ("", "seeds for which the figure is defined"),
        "n_sources": ("sources", "test sources in the stratum"),
        "n_alerts": ("alerts", "test alerts in the stratum"),
        "n_positive": ("alerts", "of label 1 among them"),
    },
    "magnitude_scores": {
        **_KEY,
        "label": ("", "1: bright transient"),
        "score_low": ("", f"16 % quantile {_SCORE}"),
        "score": ("", f"median {_SCORE}"),
        "score_high": ("", f"84 % quantile {_SCORE}"),
        "called_positive": ("", "share of the alerts that score above the threshold, mean over seeds"),
        "n_seeds": ("", "seeds"),
        "n_sources": ("sources", "test sources of the label in the stratum"),
        "n_alerts": ("alerts", "test alerts of the label in the stratum"),
    },
}


@dataclass(frozen=True)
class Seeds:
    """Test scores of every seed of a cell, (n,) each and NaN where there is none, and the threshold of each."""

    scores: Sequence[np.ndarray]
    thresholds: Sequence[float]
    fixed: bool


def members(part: Part, known: np.ndarray, families: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the alerts (positions) of every stratum that has a score for any."""
    for family in families:
        codes, names = part.families[family]
        for position, name in enumerate(names):
            alerts = np.flatnonzero((codes == position) & known)
            if len(alerts):
                yield name, alerts


def strata_rows(key: tuple, seeds: Seeds, tests: TestSet, bins: int, level: float) -> list[tuple]:
    """Rows of strata.csv of one cell and fraction (`key`)."""
    rows, part, known = [], tests.test, np.isfinite(seeds.scores[0])
    for stratum, alerts in members(part, known, ("band", "set", "mag")):
        numbers, source = np.unique(part.source[alerts], return_inverse=True)
        label, classes = part.label[alerts], tests.classes[numbers]
        found = [
            influences(label, score[alerts], source, len(numbers), threshold, bins)
            for score, threshold in zip(seeds.scores, seeds.thresholds, strict=True)
        ]
        sizes = (len(numbers), len(alerts), int(label.sum()))
        for metric in METRICS:
            rows.append((*key, stratum, metric, *_interval(found, metric, classes, seeds.fixed, level), *sizes))
    return rows


def _interval(found: Sequence, metric: str, classes: np.ndarray, fixed: bool, level: float) -> tuple:
    """Estimate, ends, level, method and number of seeds of one metric."""
    empty = np.full(len(classes), np.nan)
    influence = [row.get(metric, empty) for _, row in found]
    member = group([values[metric] for values, _ in found], influence, classes, support(metric, classes), fixed)
    ends = contrast([(1.0, member)], level, scale_of(metric))
    return ends.estimate, ends.low, ends.high, level, ends.method, ends.n_seeds


def support(metric: str, classes: np.ndarray) -> int:
    """Number of test sources a metric rests on: of the class it is about, of the rarer one where it needs both."""
    positive, total = int(classes.sum()), len(classes)
    own = {"accuracy_1": positive, "recall": positive, "accuracy_0": total - positive}
    own |= dict.fromkeys(("accuracy", "brier"), total)
    return own.get(metric, min(positive, total - positive))


def score_rows(key: tuple, seeds: Seeds, tests: TestSet) -> list[tuple]:
    """Rows of magnitude_scores.csv of one cell and fraction (`key`)."""
    rows, part, known = [], tests.test, np.isfinite(seeds.scores[0])
    for stratum, alerts in members(part, known, ("mag",)):
        for label in (0, 1):
            chosen = alerts[part.label[alerts] == label]
            if len(chosen):
                scores = np.stack([score[chosen] for score in seeds.scores])
                called = float((scores > np.asarray(seeds.thresholds)[:, None]).mean())
                sizes = (len(scores), len(np.unique(part.source[chosen])), len(chosen))
                rows.append((*key, stratum, label, *np.quantile(scores, QUANTILES), called, *sizes))
    return rows
