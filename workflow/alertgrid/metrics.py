"""How good is one run, alert by alert? Figures from labels and scores, overall and by stratum, with their influences.

Every figure comes with its influence per source: the change of the figure when a source counts a little more, times
its weight. The sum of their squares is the variance that a cluster bootstrap of sources would show (the infinitesimal
jackknife, Efron 1982), at linear cost, and products of two runs' influences give the covariance that paired
comparisons need.

scikit-learn has these metrics (but the calibration error), and the tests hold every value here against it on random
cases. It is not called, since it sorts and checks its input anew for each metric and stratum: 0.6 s of one core for a
run of 100,000 alerts and 27 strata, four minutes for the 420 runs that a report must judge within one, against 0.03 s.

A figure that the alerts do not define (a class is missing) is NaN; `undefined_reason` says why. Where only the
predictions leave it open (nothing predicted positive) it is 0, as in scikit-learn: left out of a mean over seeds, the
worst seeds would make the mean better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .calibration import Chance, expected_calibration_error, reliability, score_bins
from .errors import StudyError
from .ranking import Ranking, areas, average_precision, roc_auc

COUNTS = ("tp", "fp", "fn", "tn")


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """0/0 is NaN without a warning: the metric is not defined there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def _recall(tp, fp, fn, tn):
    return _quotient(tp, tp + fn)


def _specificity(tp, fp, fn, tn):
    return _quotient(tn, tn + fp)


def _mcc(tp, fp, fn, tn):
    # One root per factor, since the product of four counts would overflow the precision of a float.
    root = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return _quotient(tp * tn - fp * fn, root)


# Formulas in analytic functions only: their derivatives are taken by a complex step.
CONFUSION: dict[str, Callable[..., np.ndarray]] = {
    "accuracy": lambda tp, fp, fn, tn: _quotient(tp + tn, tp + fp + fn + tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (_recall(tp, fp, fn, tn) + _specificity(tp, fp, fn, tn)) / 2,
    "accuracy_1": _recall,
    "accuracy_0": _specificity,
    "precision": lambda tp, fp, fn, tn: _quotient(tp, tp + fp),
    "recall": _recall,
    "f1": lambda tp, fp, fn, tn: _quotient(2 * tp, 2 * tp + fp + fn),
    "mcc": _mcc,
}
RANK = ("roc_auc", "average_precision")
METRICS = (*RANK, *CONFUSION, "brier", "ece", "ece_calibrated")
# Without interval and comparison: the calibration error and what it would be by chance (see `calibration`).
BIASED = ("ece", "ece_calibrated")
COMPARABLE = tuple(metric for metric in METRICS if metric not in BIASED)
LOWER_IS_BETTER = ("brier", "ece")


def undefined_reason(metric: str, n_alerts: int, n_positive: int) -> str:
    """Why `metric` is NaN on a stratum, in words for the table."""
    if n_alerts == 0:
        return "no alerts"
    if metric in ("precision", "f1") and n_positive == 0:
        return "nothing was predicted positive, and there is no positive alert"
    return "one class only"


def confusion_value(metric: str, counts: np.ndarray) -> np.ndarray:
    """A metric of `CONFUSION` from counts (..., 4) in the order of `COUNTS`; NaN where the alerts do not define it."""
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, float), -1, 0)
    value = CONFUSION[metric](tp, fp, fn, tn)
    # Precision needs positive alerts, MCC both classes; what is still 0/0 then, the predictions alone leave open.
    defined = {"precision": tp + fn > 0, "mcc": (tp + fn > 0) & (tn + fp > 0)}.get(metric, False)
    return np.where(np.isnan(value) & defined, 0.0, value)


def confusion_gradient(metric: str, counts: np.ndarray) -> np.ndarray:
    """Derivative (..., 4) of a metric with respect to each count, exact to rounding by a complex step.

    It is 0 where the value is 0 by convention, NaN where the value is.

    Source: Squire & Trapp 1998, SIAM Review 40, 110.
    """
    counts, step = np.asarray(counts, float), 1e-30
    steps = counts.astype(complex)[..., None, :] + 1j * step * np.eye(4)
    derivative = CONFUSION[metric](*np.moveaxis(steps, -1, 0)).imag / step
    # At 0/0 the step alone would decide.
    open_ = np.isnan(CONFUSION[metric](*np.moveaxis(counts, -1, 0)))
    return np.where(open_[..., None], 0 * confusion_value(metric, counts)[..., None], derivative)


def source_counts(truth: np.ndarray, predicted: np.ndarray, source: np.ndarray, n_sources: int) -> np.ndarray:
    """Confusion counts per source.

    Parameters
    ----------
    truth, predicted : (n,) bool
    source : (n,) int
        Number of the source of each row, 0 to n_sources - 1.

    Returns
    -------
    (n_sources, 4) float in the order of `COUNTS`.
    """
    kind = np.where(truth, np.where(predicted, 0, 2), np.where(predicted, 1, 3))
    return np.bincount(source * 4 + kind, minlength=4 * n_sources).reshape(n_sources, 4).astype(float)


def choose_threshold(label: np.ndarray, score: np.ndarray, rule: float | str) -> float:
    """Threshold above which an alert counts as positive, from validation alerts alone.

    Parameters
    ----------
    label : (n,) 0 or 1
    score : (n,) in [0, 1]
    rule : float or str
        A number is taken as it is; a name of `CONFUSION` takes the threshold where that metric is greatest (halfway
        between two neighbouring scores; the lowest of equal ones).

    Raises
    ------
    StudyError
        An unknown rule.
    """
    if not isinstance(rule, str):
        return float(rule)
    if rule not in CONFUSION:
        raise StudyError(
            "report.threshold", f"{rule!r}", f"a number or one of {', '.join(CONFUSION)}", "change the key"
        )
    ranking = Ranking.of(label, score)
    positives, size = ranking.counts()
    if not 0 < positives.sum() < size.sum():
        return 0.5  # ASSUME: validation alerts of one class cannot choose; the middle of the scale is no choice either.
    tp, fp = np.cumsum(positives), np.cumsum(size - positives)
    value = confusion_value(rule, np.stack([tp, fp, tp[-1] - tp, fp[-1] - fp], axis=-1))
    scores = np.append(np.unique(score)[::-1], 0.0)
    best = len(value) - 1 - int(np.nanargmax(value[::-1]))
    return float((scores[best] + scores[best + 1]) / 2)


def influences(
    label: np.ndarray,
    score: np.ndarray,
    source: np.ndarray,
    n_sources: int,
    threshold: float,
    bins: int = 15,
    ranking: Ranking | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """All figures of `METRICS` on these alerts and their influence per source.

    Parameters
    ----------
    label : (n,) 0 or 1
    score : (n,) in [0, 1]
    source : (n,) int, 0 to n_sources - 1
    threshold : float
        An alert is called positive when its score is greater.
    bins : int
        Bins of the calibration error.
    ranking : Ranking, optional
        Of the same alerts, where it is known already.

    Returns
    -------
    values : mapping of metric to float
    influence : mapping of metric to (n_sources,) float; absent where the value is NaN, and for `BIASED`.
    """
    label = np.asarray(label, bool)
    ranking = ranking or Ranking.of(label, score)
    values, result = {}, {}
    for name, function in (("roc_auc", roc_auc), ("average_precision", average_precision)):
        values[name], alerts = function(ranking, influence=True)
        if alerts is not None:
            result[name] = np.bincount(source[ranking.order], alerts, n_sources)
    counts = source_counts(label, score > threshold, source, n_sources)
    for name in CONFUSION:
        values[name], result[name] = confusion_influence(name, counts)
    square = (score - label) ** 2
    values["brier"] = float(square.mean()) if len(score) else np.nan
    result["brier"] = np.bincount(source, square - values["brier"], n_sources) / max(len(score), 1)
    values["ece"] = expected_calibration_error(reliability(label, score, bins))
    values["ece_calibrated"] = Chance.of(score, source, bins).error()
    return values, {name: result[name] for name in result if np.isfinite(values[name])}


def confusion_influence(metric: str, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and influence (n_sources,) of a metric of `CONFUSION` from counts per source (n_sources, 4)."""
    total = counts.sum(axis=0)
    # The metric does not change when all counts double, so the influences sum to zero without centring (Euler).
    return float(confusion_value(metric, total)), counts @ confusion_gradient(metric, total)


def stratified(
    label: np.ndarray,
    score: np.ndarray,
    source: np.ndarray,
    families: Mapping[str, tuple[np.ndarray, list[str]]],
    threshold: float,
    bins: int = 15,
    ranking: Ranking | None = None,
) -> dict[str, dict[str, float]]:
    """All figures of `METRICS` on every stratum.

    Parameters
    ----------
    label, score, source : (n,)
    families : mapping of str to (codes, names)
        Per family of strata the (n,) int code of each alert's stratum (-1: in none) and the strata's names.
    ranking : Ranking, optional
        Of the same alerts, where it is known already.

    Returns
    -------
    mapping of stratum name to mapping of metric to value.
    """
    label = np.asarray(label, bool)
    ranking, chance = ranking or Ranking.of(label, score), Chance.of(score, source, bins)
    result = {}
    for codes, names in families.values():
        table = _counted(label, score, codes, len(names), threshold, bins)
        for position, (name, part) in enumerate(zip(names, ranking.split(codes, len(names)), strict=True)):
            result[name] = dict(zip(RANK, areas(part), strict=True))
            result[name] |= {metric: float(column[position]) for metric, column in table.items()}
            result[name]["ece_calibrated"] = chance.error(part.order)
    return result


def _counted(
    label: np.ndarray, score: np.ndarray, codes: np.ndarray, size: int, threshold: float, bins: int
) -> dict[str, np.ndarray]:
    """Figures that come from sums over the alerts of each of `size` strata, (size,) each."""
    inside = codes >= 0
    code, label, score = codes[inside], label[inside], score[inside]
    kind = np.where(label, np.where(score > threshold, 0, 2), np.where(score > threshold, 1, 3))
    counts = np.bincount(code * 4 + kind, minlength=4 * size).reshape(size, 4)
    gaps = np.bincount(code * bins + score_bins(score, bins), score - label, bins * size).reshape(size, bins)
    table = {name: confusion_value(name, counts) for name in CONFUSION}
    table["brier"] = _quotient(np.bincount(code, (score - label) ** 2, size), counts.sum(axis=1))
    table["ece"] = _quotient(np.abs(gaps).sum(axis=1), counts.sum(axis=1))
    return table
