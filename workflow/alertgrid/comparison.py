"""How sure are we? Intervals over seeds and test sources, paired differences.

The estimand is the expected figure of a training with another seed, judged on other sources of the same sky. The mean
over seeds varies for two reasons, and their variances add:

* the test sources: alerts of one object are not independent, so objects are resampled. The variance of that cluster
  bootstrap is taken in closed form from the influences (see `metrics`), which all runs share by object: differences
  are paired without further work, and no Monte Carlo noise is added.
* the seeds: the spread between runs. It holds the runs' different luck with the same test sources too
  (`Group.interaction`), which is therefore taken out of the first part.

The quantile is Student's; its 1 / df is the mean of the parts' own, weighted by their shares of the variance.
Satterthwaite 1946 weighs by squared shares: with few seeds, whose spread is small by luck now and then, that covers too
little (0.92 instead of 0.95 with three seeds, 0.87 with two, at worst over all ratios of the parts; here 0.94 and 0.91,
by numerical integration in benchmarks/coverage.py). Figures in [0, 1] get their interval on the logit scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

BOUNDED = {"mcc": "atanh"}  # every other figure of this package without a unit lies in [0, 1]
_FORWARD = {"identity": lambda x: x, "logit": special.logit, "atanh": np.arctanh}
_BACKWARD = {"identity": lambda x: x, "logit": special.expit, "atanh": np.tanh}
_SLOPE = {"identity": lambda x: 1.0, "logit": lambda x: 1 / (x * (1 - x)), "atanh": lambda x: 1 / (1 - x * x)}
_LOWEST = {"identity": -np.inf, "logit": 0.0, "atanh": -1.0}


@dataclass(frozen=True)
class Group:
    """Runs that differ by seed alone, reduced to what intervals and comparisons need.

    Attributes
    ----------
    values : (k,) float
        The figure of each seed for which it is defined.
    influence : (m,) float
        Mean over seeds of the influence of each test source; NaN for a figure that gets no interval.
    interaction : float
        Variance between seeds expected from the test sources alone.
    classes : (m,) bool
        Label of each test source.
    support : int
        Number of sources the figure rests on (the rarer class, for figures over two).
    fixed : bool
        One given model instead of a training with seeds: there is no second source of variance.
    """

    values: np.ndarray
    influence: np.ndarray
    interaction: float
    classes: np.ndarray
    support: int
    fixed: bool = False

    @property
    def estimate(self) -> float:
        """Mean over seeds; NaN without any."""
        return float(self.values.mean()) if len(self.values) else np.nan


def group(
    values: Sequence[float], influences: Sequence[np.ndarray], classes: np.ndarray, support: int, fixed: bool = False
) -> Group:
    """Reduce the seeds of one cell and fraction.

    Parameters
    ----------
    values : (k,) float
        NaN where a seed's figure is not defined; such seeds are left out.
    influences : (k, m) float
    classes : (m,) bool
    support : int
    fixed : bool
        See `Group`.
    """
    defined = np.flatnonzero(np.isfinite(np.asarray(values, float)))
    kept = np.stack([influences[i] for i in defined]) if len(defined) else np.zeros((0, len(classes)))
    mean = kept.mean(axis=0) if len(defined) else np.full(len(classes), np.nan)
    spread = sum(cluster_variance(row - mean, classes)[0] for row in kept)
    interaction = spread / (len(defined) - 1) if len(defined) > 1 else 0.0
    return Group(np.asarray(values, float)[defined], mean, interaction, np.asarray(classes, bool), support, fixed)


def cluster_variance(influence: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Variance of a figure over samples of sources, and the degrees of freedom of this estimate.

    Within each class the sum of squares is multiplied by m / (m - 1), m being the sources with any influence; it has
    m - 1 degrees of freedom, and the two classes are joined as in Welch 1947.
    """
    variance = noise = 0.0
    for member in (classes, ~classes):
        part = influence[member]
        m = int(np.count_nonzero(part))
        if m == 1:
            return np.nan, np.nan  # one source says nothing about the spread between sources
        if m > 1:
            square = float((part * part).sum()) * m / (m - 1)
            variance += square
            noise += square**2 / (m - 1)
    return variance, variance**2 / noise if noise > 0 else np.inf


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; `scipy.stats` gives the same a hundred times slower."""
    return float(special.stdtrit(df, probability) if np.isfinite(df) else special.ndtri(probability))


def t_tail(value: float, df: float) -> float:
    """Probability above `value` under Student's t."""
    return float(special.stdtr(df, -value) if np.isfinite(df) else special.ndtr(-value))


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval and how it was obtained.

    `p` tests the estimate against zero, two-sided. `detectable` is the smallest true value that this test, were it the
    only one, would find with the stated power (see `multiplicity` for one of many). Both make sense for differences.
    """

    estimate: float
    low: float
    high: float
    se: float
    df: float
    p: float
    detectable: float
    n_seeds: int
    method: str


def contrast(
    terms: Sequence[tuple[float, Group]],
    level: float = 0.95,
    scale: str = "identity",
    power: float = 0.8,
    paired: bool = True,
) -> Interval:
    """Interval of a weighted sum of groups.

    Parameters
    ----------
    terms : sequence of (weight, Group)
        One group with weight 1 for a figure itself; weights 1 and -1 for a difference.
    level : float
        Coverage asked for, in (0, 1).
    scale : {"identity", "logit", "atanh"}
        Where the interval is symmetric.
    power : float
        For the smallest detectable value.
    paired : bool
        The groups were judged on the same test sources; otherwise on independent samples of them.
    """
    estimate = float(sum(weight * group.estimate for weight, group in terms))
    variance, df = total_variance(terms, paired)
    n_seeds = min((len(group.values) for _, group in terms), default=0)
    method = describe([group for _, group in terms], scale)
    if not np.isfinite(estimate) or not np.isfinite(variance):
        return Interval(estimate, *[np.nan] * 6, n_seeds, _no_interval(estimate, terms))
    se, tail = float(np.sqrt(variance)), (1 + level) / 2
    quantile = t_quantile(tail, df)
    low, high = _bounds(estimate, quantile * se, scale)
    if se == 0 and scale != "identity":
        low, high = boundary(estimate, terms[0][1].support, level, _LOWEST[scale])
        method += "; no variation seen: exact bound for the number of sources"
    p = 2 * t_tail(abs(estimate) / se, df) if se > 0 else float(estimate == 0)
    return Interval(estimate, low, high, se, df, p, detectable(se, df, level, power), n_seeds, method)


def detectable(se: float, df: float, level: float, power: float) -> float:
    """Smallest true value that a two-sided test at 1 - `level` tells from zero with this power."""
    return (t_quantile((1 + level) / 2, df) + t_quantile(power, df)) * se


def total_variance(terms: Sequence[tuple[float, Group]], paired: bool = True) -> tuple[float, float]:
    """Variance over test sources and seeds of a weighted sum of groups, with its degrees of freedom.

    # ASSUME: seeds of different groups are independent. Runs that share a seed also share their training subset, which
    # makes differences a little less variable than stated here.
    """
    shared, sources_df = sources_variance(terms, paired)
    several = [(weight**2 / len(member.values), member) for weight, member in terms if _has_spread(member)]
    shared = max(shared - sum(scale * member.interaction for scale, member in several), 0.0) if several else shared
    parts = [(scale * member.values.var(ddof=1), len(member.values) - 1) for scale, member in several]
    seeds, seeds_df = pool(parts)
    return shared + seeds, combined_df((shared, sources_df), (seeds, seeds_df))


def _has_spread(member: Group) -> bool:
    """Whether a group has runs that tell how much seeds matter."""
    return len(member.values) > 1 and not member.fixed


def sources_variance(terms: Sequence[tuple[float, Group]], paired: bool = True) -> tuple[float, float]:
    """The variance over test sources alone, with Satterthwaite's degrees of freedom."""
    total = noise = 0.0
    for sample in [terms] if paired else [[term] for term in terms]:
        influence = sum(weight * member.influence for weight, member in sample)
        variance, df = cluster_variance(influence, sample[0][1].classes)
        total += variance
        noise += variance**2 / df if variance > 0 else 0.0
    return total, total**2 / noise if noise > 0 else np.inf


def pool(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Sum of independent variances of few degrees of freedom, with its own by the unbiased formula of Welch 1947."""
    total = sum(variance for variance, _ in parts)
    noise = sum(variance**2 / (df + 2) for variance, df in parts)
    if noise == 0:
        return 0.0, np.inf
    # Between the fewest of one part and all together, as the true value must be.
    each = [df for _, df in parts]
    return total, float(np.clip(total**2 / noise - 2, min(each), sum(each)))


def combined_df(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of variances: 1 / df is the mean of the parts' own, weighted by their shares."""
    total = sum(variance for variance, _ in parts)
    inverse = sum(variance / df for variance, df in parts)
    return total / inverse if inverse > 0 else np.inf


def _bounds(estimate: float, half: float, scale: str) -> tuple[float, float]:
    """Ends of an interval that is symmetric on `scale`, its half width given on the figure's own scale."""
    estimate = np.float64(estimate)  # whose division by zero is infinite, not an error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        centre, reach = _FORWARD[scale](estimate), half * _SLOPE[scale](estimate)
        ends = float(_BACKWARD[scale](centre - reach)), float(_BACKWARD[scale](centre + reach))
    # At 0 or 1 the transform has no value: with seeds that differ all the same, the plain interval cut at the ends.
    return ends if np.all(np.isfinite(ends)) else (max(estimate - half, _LOWEST[scale]), min(estimate + half, 1.0))


def boundary(estimate: float, support: int, level: float, lowest: float = 0.0) -> tuple[float, float]:
    """Interval where all of `support` sources agree, as for a proportion 0 or 1 (Clopper & Pearson 1934)."""
    if support < 1:
        return np.nan, np.nan
    short = float(((1 - level) / 2) ** (1 / support))
    width = (1 - short) * (1 - lowest)
    return max(estimate - width, lowest), min(estimate + width, 1.0)


def _no_interval(estimate: float, terms: Sequence[tuple[float, Group]]) -> str:
    """Why there is none, in words for the table."""
    if np.isfinite(estimate) and any(np.isnan(member.influence).any() for _, member in terms):
        return "none: the estimate is biased by chance; compare ece with ece_calibrated"
    return "not defined: too few sources or seeds"


def describe(groups: Sequence[Group], scale: str) -> str:
    """The method in words, as it stands in the tables."""
    if all(member.fixed for member in groups):
        seeds = "a given model: no seeds"
    elif any(len(member.values) < 2 and not member.fixed for member in groups):
        seeds = "one seed: spread over seeds not measured"
    else:
        seeds = "variance between seeds"
    scale = "" if scale == "identity" else f"; {scale} scale"
    return f"cluster bootstrap of test sources (first order) + {seeds}{scale}; Student's t"


def scale_of(metric: str) -> str:
    """The scale on which a figure's own interval is symmetric; days stay as they are."""
    return "identity" if metric.endswith("_days") else BOUNDED.get(metric, "logit")
