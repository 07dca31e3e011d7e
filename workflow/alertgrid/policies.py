"""Which sources would a survey have saved, and when? Source-level figures under a stated policy.

A source is saved at its first alert at which the policy holds for the alerts so far. The four policies of BTSbot
(arXiv 2401.15167) are in `BTSBOT_POLICIES`; a study may state others. All is done by sorting once and counting along
the sorted alerts, linear in the number of alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from .errors import StudyError
from .metrics import confusion_gradient, confusion_value

BRIGHT = 18.5  # mag; what the Bright Transient Survey calls bright
DELAYS = ("delay_days", "delay_from_peak_days")
# What each is among the metrics of `metrics.CONFUSION`, and the counts (tp, fp, fn, tn) of the sources it rests on.
_CONFUSION = {"completeness": ("recall", [0, 2]), "purity": ("precision", [0, 1]), "f1": ("f1", [0, 1, 2])}


@dataclass(frozen=True)
class Policy:
    """Save a source once `alerts` alerts score above `score` while fainter than no more than `magnitude`.

    Attributes
    ----------
    name : str
    alerts : int
        How many such alerts are needed.
    score : float
        An alert counts when its score is greater, in [0, 1].
    magnitude : float
        An alert counts when its magpsf is smaller (brighter).
    brightest : float
        The source must have had an alert at this magnitude or brighter; infinity asks for nothing.
    """

    name: str
    alerts: int = 1
    score: float = 0.5
    magnitude: float = np.inf
    brightest: float = np.inf

    def __post_init__(self) -> None:
        if self.alerts < 1 or not 0 <= self.score <= 1:
            raise StudyError(
                f"report.policies.{self.name}",
                f"alerts {self.alerts}, score {self.score}",
                "alerts of at least 1 and a score in [0, 1]",
                "correct the policy",
            )


BTSBOT_POLICIES = (
    Policy("bts_p1", alerts=2, score=0.5, magnitude=19.0),
    Policy("bts_p2", alerts=2, score=0.5, magnitude=19.0, brightest=BRIGHT),
    Policy("prod_p1", alerts=1, score=0.85, magnitude=19.0),
    Policy("prod_p2", alerts=1, score=0.85, magnitude=19.0, brightest=BRIGHT),
)


@dataclass(frozen=True)
class Timeline:
    """Alerts sorted by source and time, with what every policy needs and no score changes.

    Attributes
    ----------
    order : (n,) int
        Positions of the alerts in the table given, sorted by source, then time.
    source : (n,) int
        Number of the source of each sorted alert.
    start : (m + 1,) int
        Where each source begins among the sorted alerts; the last entry is n.
    jd, magnitude, brightest : (n,) float
        Julian date, magpsf, and the smallest magpsf so far, of each sorted alert.
    names : (m,) str
        objectId of each source.
    label : (m,) bool
        Whether any alert of the source has label 1.
    peak, jd_peak : (m,) float
        Magnitude and date of the brightest alert (the first of equally bright ones).
    eligible : (m,) bool
        At least two alerts, and for label 1 an alert of 18.5 or brighter.
    """

    order: np.ndarray
    source: np.ndarray
    start: np.ndarray
    jd: np.ndarray
    magnitude: np.ndarray
    brightest: np.ndarray
    names: np.ndarray
    label: np.ndarray
    peak: np.ndarray
    jd_peak: np.ndarray
    eligible: np.ndarray


def timeline(catalogue: pd.DataFrame) -> Timeline:
    """Prepare the alerts of a catalogue (columns objectId, jd, magpsf, label, candid) for all policies and runs.

    Alerts of the same time are taken in the order of their candid, so that the result does not hang on the rows' order.
    """
    source, names = pd.factorize(catalogue["objectId"], sort=True)
    order = _time_order(source, catalogue["jd"].to_numpy(float), catalogue["candid"].to_numpy())
    source = source[order]
    jd, magnitude = (catalogue[name].to_numpy(float)[order] for name in ("jd", "magpsf"))
    start = np.searchsorted(source, np.arange(len(names) + 1))
    first = start[:-1]
    label = np.maximum.reduceat(catalogue["label"].to_numpy()[order], first) > 0 if len(order) else np.zeros(0, bool)
    peak = np.fmin.reduceat(magnitude, first) if len(order) else np.zeros(0)
    at_peak = _first_where(magnitude == peak[source], source, len(names))
    jd_peak = np.where(at_peak < len(jd), np.append(jd, np.nan)[at_peak], np.nan)
    eligible = (np.diff(start) >= 2) & (~label | (peak <= BRIGHT))
    brightest = np.asarray(pd.Series(magnitude).groupby(source).cummin(), float)
    return Timeline(order, source, start, jd, magnitude, brightest, np.asarray(names), label, peak, jd_peak, eligible)


def _time_order(source: np.ndarray, jd: np.ndarray, candid: np.ndarray) -> np.ndarray:
    """Order by source, then time, then candid; two sorts do unless one source has two alerts at one time."""
    order = np.argsort(jd)
    # NumPy sorts 16-bit integers by radix, several times faster.
    small = source[order].astype(np.uint16 if source.max(initial=0) < 2**16 else np.int64)
    order = order[np.argsort(small, kind="stable")]
    tied = (np.diff(source[order]) == 0) & (np.diff(jd[order]) == 0)
    return np.lexsort((candid, jd, source)) if tied.any() else order


def _first_where(holds: np.ndarray, source: np.ndarray, n_sources: int) -> np.ndarray:
    """Position of the first sorted alert per source where `holds`; the number of alerts where there is none."""
    result = np.full(n_sources, len(holds))
    found = np.flatnonzero(holds)[::-1]
    result[source[found]] = found  # the last assignment wins: the earliest alert
    return result


def save_positions(alerts: Timeline, score: np.ndarray, policy: Policy) -> np.ndarray:
    """Where each source is saved.

    Parameters
    ----------
    score : (n,) float
        In the order of the table that made the timeline.

    Returns
    -------
    (m,) int
        Position among the sorted alerts; n where the source is never saved.
    """
    hit = (score[alerts.order] > policy.score) & (alerts.magnitude < policy.magnitude)
    # Both conditions stay true once they are, so the first alert where both hold is where the count is reached and
    # the source has been bright enough.
    so_far = np.concatenate([[0], np.cumsum(hit)])
    reached = so_far[1:] - so_far[alerts.start[:-1]][alerts.source] >= policy.alerts
    if np.isfinite(policy.brightest):
        reached &= alerts.brightest <= policy.brightest
    return _first_where(reached, alerts.source, len(alerts.names))


@dataclass(frozen=True)
class Outcome:
    """What a policy did to the sources that count.

    Attributes
    ----------
    counts : (m, 4) float
        tp, fp, fn, tn of each source; all zero for a source that is excluded.
    delay, delay_from_peak : (m,) float
        Days from the first alert, and from the brightest alert, to the save; NaN unless a true source was saved.
    """

    counts: np.ndarray
    delay: np.ndarray
    delay_from_peak: np.ndarray


def apply_policy(alerts: Timeline, score: np.ndarray, policy: Policy) -> Outcome:
    """Judge every source by one policy."""
    position = save_positions(alerts, score, policy)
    saved = position < len(alerts.jd)
    label, eligible = alerts.label, alerts.eligible
    counts = np.stack([label & saved, ~label & saved, label & ~saved, ~label & ~saved], axis=1) & eligible[:, None]
    when = np.append(alerts.jd, np.nan)[position]
    when[~counts[:, 0]] = np.nan
    first = alerts.jd[alerts.start[:-1]]
    return Outcome(counts.astype(float), when - first, when - alerts.jd_peak)


Figure = tuple[float, np.ndarray, int]


def figures(outcome: Outcome, strata: Sequence[np.ndarray]) -> dict[str, list[Figure]]:
    """Completeness, purity and F1 on every stratum of sources.

    Parameters
    ----------
    outcome : Outcome
    strata : sequence of (k,) int
        The sources of each stratum.

    Returns
    -------
    mapping of figure to a list with, per stratum,
        value : float
            NaN where there is no true source. Purity is 0 where there are true sources and nothing was saved.
        influence : (k,) float
            Influence of each source of the stratum; NaN where the value is.
        support : int
            Number of sources that the figure rests on: true, saved, or both.
    """
    counts = [outcome.counts[members] for members in strata]
    totals = np.stack([part.sum(axis=0) for part in counts])
    result: dict[str, list[Figure]] = {}
    for name, (metric, columns) in _CONFUSION.items():
        values, gradients = confusion_value(metric, totals), confusion_gradient(metric, totals)
        supports = totals[:, columns].sum(axis=1).astype(int)
        parts = zip(values, counts, gradients, supports, strict=True)
        result[name] = [(float(value), part.dot(gradient), int(support)) for value, part, gradient, support in parts]
    return result


def delays(outcome: Outcome, strata: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Days of `DELAYS` of the true sources saved, per stratum; see `medians` for their median and its interval."""
    result = {}
    for name, days in zip(DELAYS, (outcome.delay, outcome.delay_from_peak), strict=True):
        parts = [days[members] for members in strata]
        result[name] = [part[np.isfinite(part)] for part in parts]
    return result


def magnitude_bins(alerts: Timeline, edges: Sequence[float]) -> list[tuple[str, np.ndarray]]:
    """Strata of sources by the magnitude of their brightest alert: name `mag=17.00-17.25` and (k,) numbers."""
    bins = pairwise(edges)
    return [(f"mag={a:.2f}-{b:.2f}", np.flatnonzero((alerts.peak >= a) & (alerts.peak < b))) for a, b in bins]
