"""How sure are we of a median? Order statistics, which assume no distribution, and what seeds add to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from .comparison import t_quantile

LEVEL = 0.95


def median_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Median, and an interval of it that assumes no distribution.

    Parameters
    ----------
    values : ndarray
        Independent measurements.
    level : float
        Coverage; fewer than six values cannot have 95 %, and give their least and greatest (see `coverage`).

    Returns
    -------
    median, low, high : float
        The ends are two of the values, by the binomial distribution of how many lie below the median (David and
        Nagaraja, Order Statistics, 2003, section 7.1). NaN without values.
    """
    if not len(values):
        return np.nan, np.nan, np.nan
    below = _left_out(len(values), level)
    ordered = np.sort(values)
    return float(np.median(values)), float(ordered[below]), float(ordered[len(values) - 1 - below])


def coverage(count: int, level: float = LEVEL) -> float:
    """What the interval of `median_interval` covers at least, of so many values."""
    return 1 - 2 * stats.binom.cdf(_left_out(count, level), count, 0.5)


@lru_cache(maxsize=4096)
def _left_out(count: int, level: float) -> int:
    """Values at each end that the interval does without."""
    return max(int(stats.binom.ppf((1 - level) / 2, count, 0.5)) - 1, 0)


@dataclass(frozen=True)
class MeanOfMedians:
    """Mean over seeds of a median with its interval; `support` is the fewest values of a seed that has any."""

    estimate: float
    low: float
    high: float
    n_seeds: int
    support: int
    method: str


def mean_of_medians(samples: Sequence[np.ndarray], level: float = LEVEL, fixed: bool = False) -> MeanOfMedians:
    """Mean over seeds of the median of each, and its interval over values and seeds.

    Each end is the mean of the seeds' own (see `median_interval`), moved outwards by the mean's standard error over
    seeds times Student's t: the distances of both from the estimate are added in squares, each end by itself (Zou and
    Donner 2008, Statistics in Medicine 27, 1693). It covers more than `level`: order statistics of few or tied values
    do, and the spread between seeds holds some of the luck with the values too.

    Parameters
    ----------
    samples : sequence of ndarray
        Values of each seed; one without any is left out.
    level : float
    fixed : bool
        One given model instead of a training with seeds.

    Returns
    -------
    MeanOfMedians
        Ends are NaN where a seed has too few values for the level (below six for 95 %), and `method` says so.
    """
    found = np.array([median_interval(values, level) for values in samples if len(values)]).reshape(-1, 3)
    support = min((len(values) for values in samples if len(values)), default=0)
    n_seeds, least = len(found), _least(level)
    estimate = float(found[:, 0].mean()) if n_seeds else np.nan
    if support < least:
        method = f"none: a seed with fewer than {least} saved sources" if n_seeds else "not defined: no saved source"
        return MeanOfMedians(estimate, np.nan, np.nan, n_seeds, support, method)
    spread, seeds = 0.0, "a given model: no seeds" if fixed else "one seed: spread over seeds not measured"
    if n_seeds > 1 and not fixed:
        error = found[:, 0].std(ddof=1) / np.sqrt(n_seeds)
        spread, seeds = t_quantile((1 + level) / 2, n_seeds - 1) * error, "Student's t of the seeds (Zou & Donner 2008)"
    low, high = (estimate + side * np.hypot(found[:, i].mean() - estimate, spread) for i, side in ((1, -1), (2, 1)))
    method = f"order statistics of the saved sources, mean over seeds, + {seeds}"
    return MeanOfMedians(estimate, float(low), float(high), n_seeds, support, method)


def _least(level: float) -> int:
    """Fewest values whose least and greatest hold the median with this probability, 1 - 2 / 2^n."""
    return int(np.ceil(1 - np.log2(1 - level)))
