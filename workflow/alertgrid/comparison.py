"""How sure are we? Intervals over seeds and test sources, paired differences.

The estimand is the expected figure of a training with another seed, judged on other sources of the same sky. The mean
over seeds varies for two reasons, and their variances add:

* the test sources: alerts of one object are not independent, so objects are resampled. The variance of that cluster
  bootstrap is taken in closed form from the influences (see `metrics`), which all runs share by object: differences
  are paired without further work, and no Monte Carlo noise is added.
* the seeds: the spread between runs. It holds the runs' different luck with the same test sources too, which is
  therefore taken out of the first part. Runs of one seed share their training subset, and a fusion stands on the runs
  of its own seed: differences are taken seed by seed (blocks), over the seeds that all cells have.

The quantile is Student's; its 1 / df is the mean of the parts' own, weighted by their shares of the variance.
Satterthwaite 1946 weighs by squared shares: with few seeds, whose spread is small by luck now and then, that covers too
little (0.92 instead of 0.95 with three seeds, 0.87 with two, at worst over all ratios of the parts; here 0.94 and 0.91,
by numerical integration in benchmarks/coverage.py). Figures in [0, 1] get their interval on the logit scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import special

from .scales import LOWEST, boundary, bounds
from .variance import ROUNDING, cluster_variance, combined_df

Terms = Sequence[tuple[float, "Group"]]  # weights and groups


@dataclass(frozen=True)
class Group:
    """Runs that differ by seed alone, reduced to what intervals and comparisons need.

    Attributes
    ----------
    seeds : (k,) int
        Those for which the figure is defined.
    values : (k,) float
        The figure of each.
    influences : (k, m) float
        Influence of each test source on each of them; NaN for a figure that gets no interval.
    classes : (m,) int
        Label of each test source; -1 for a source without a judged alert, which counts nowhere.
    support : int
        Number of sources the figure rests on (the rarer class, for figures over two).
    fixed : bool
        One given model instead of a training with seeds: there is no second source of variance.
    """

    seeds: np.ndarray
    values: np.ndarray
    influences: np.ndarray
    classes: np.ndarray
    support: int
    fixed: bool = False

    @property
    def estimate(self) -> float:
        """Mean over seeds; NaN without any."""
        return float(self.values.mean()) if len(self.values) else np.nan

    @cached_property
    def influence(self) -> np.ndarray:
        """Mean over seeds of the influence of each test source, (m,)."""
        return self.influences.mean(axis=0) if len(self.values) else np.full(len(self.classes), np.nan)

    def at(self, seeds: Sequence[int]) -> Group:
        """The same with these of its seeds alone, in this order."""
        if list(self.seeds) == list(seeds):
            return self
        rows = [list(self.seeds).index(seed) for seed in seeds]
        return replace(self, seeds=self.seeds[rows], values=self.values[rows], influences=self.influences[rows])


def group(
    values: Sequence[float],
    influences: Sequence[np.ndarray],
    classes: np.ndarray,
    support: int,
    fixed: bool = False,
    seeds: Sequence[int] | None = None,
) -> Group:
    """Reduce the seeds of one cell and fraction.

    Parameters
    ----------
    values : (k,) float
        NaN where a seed's figure is not defined; such seeds are left out.
    influences : (k, m) float
    classes : (m,) int or bool
    support : int
    fixed : bool
        See `Group`.
    seeds : (k,) int, optional
        By which differences are paired; 0 to k - 1 without.
    """
    values = np.asarray(values, float)
    defined = np.isfinite(values)
    seeds = np.arange(len(values)) if seeds is None else np.asarray(seeds, int)
    kept = np.asarray(influences, float).reshape(len(values), len(classes))[defined]
    return Group(seeds[defined], values[defined], kept, np.asarray(classes, np.int8), support, fixed)


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
    only one, would find with the stated power (see `multiplicity` for one of many). Both make sense for differences;
    both are NaN where no variation was seen, and with `one_seed`: the spread between seeds is not measured, so that
    the interval is one of the test sources alone and shows no more than the luck of that seed.
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
    one_seed: bool


def contrast(
    terms: Terms, level: float = 0.95, scale: str = "identity", power: float = 0.8, paired: bool = True
) -> Interval:
    """Interval of a weighted sum of groups.

    Parameters
    ----------
    terms : sequence of (weight, Group)
        One group with weight 1 for a figure itself; weights 1 and -1 for a difference, which is the mean over the
        seeds that the groups have in common.
    level : float
        Coverage asked for, in (0, 1).
    scale : {"identity", "logit", "atanh"}
        Where the interval is symmetric.
    power : float
        For the smallest detectable value.
    paired : bool
        The groups were judged on the same test sources; otherwise on independent samples of them.
    """
    found = blocks(terms)
    terms = [term for block in found for term in block]
    estimate = float(sum(weight * member.estimate for weight, member in terms))
    variance, df = total_variance(terms, paired)
    seeds = [len(member.values) for _, member in terms if not (member.fixed and len(member.values))]
    n_seeds, one_seed = min(seeds, default=1), 1 in seeds
    if not np.isfinite(estimate + variance) or (variance > ROUNDING**2 and any(_lone(member) for _, member in terms)):
        return Interval(estimate, *[np.nan] * 6, n_seeds, _no_interval(estimate, terms), one_seed)
    se, method = float(np.sqrt(variance)), describe(found, scale)
    if se > ROUNDING:
        low, high = bounds(estimate, t_quantile((1 + level) / 2, df) * se, scale)
        tests = (2 * t_tail(abs(estimate) / se, df), detectable(se, df, level, power))
    else:
        se, tests = 0.0, (np.nan, np.nan)
        low, high = boundary(estimate, min(member.support for _, member in terms), level, LOWEST[scale])
        method += "; no variation seen: bound for the number of sources"
    return Interval(estimate, low, high, se, df, *((np.nan, np.nan) if one_seed else tests), n_seeds, method, one_seed)


def detectable(se: float, df: float, level: float, power: float) -> float:
    """Smallest true value that a two-sided test at 1 - `level` tells from zero with this power."""
    return (t_quantile((1 + level) / 2, df) + t_quantile(power, df)) * se


def blocks(terms: Terms) -> list[Terms]:
    """Terms that share seeds, directly or by way of others, cut down to the seeds that all of their block have.

    A given model has no seed and stands alone.

    # ASSUME: runs of different seeds are independent. Cells may share a part of their training subset all the same
    # (there are fewer rankings than seeds, or fractions are large), which the spread between seeds then holds less of.
    """
    found: list[list[tuple[float, Group]]] = []
    for term in terms:
        seeds = set() if term[1].fixed else set(term[1].seeds)
        touched = [any(not member.fixed and seeds & set(member.seeds) for _, member in block) for block in found]
        joined = [member for block, hit in zip(found, touched, strict=True) if hit for member in block]
        found = [block for block, hit in zip(found, touched, strict=True) if not hit] + [[*joined, term]]
    return [_cut(block) for block in found]


def _cut(block: Terms) -> Terms:
    """The terms of a block at their common seeds."""
    common = sorted(set.intersection(*(set(member.seeds) for _, member in block)))
    return [(weight, member.at(common)) for weight, member in block]


def total_variance(terms: Terms, paired: bool = True) -> tuple[float, float]:
    """Variance over test sources and seeds of a weighted sum of groups, with its degrees of freedom."""
    found = blocks(terms)
    shared, sources_df = sources_variance([term for block in found for term in block], paired)
    several = [block for block in found if len(block[0][1].values) > 1 and not block[0][1].fixed]
    parts = [seeds_variance(block) for block in several]
    if several:
        shared = max(shared - sum(interaction(block, paired) for block in several), 0.0)
    return shared + sum(variance for variance, _ in parts), combined_df((shared, sources_df), *parts)


def seeds_variance(block: Terms) -> tuple[float, int]:
    """The variance of a weighted sum's mean over its k common seeds, from its spread between them, and k - 1."""
    each = sum(weight * member.values for weight, member in block)
    return float(each.var(ddof=1)) / len(each), len(each) - 1


def interaction(block: Terms, paired: bool = True) -> float:
    """What `seeds_variance` is expected to be from the runs' different luck with the test sources alone."""
    total = 0.0
    for sample in [block] if paired else [[term] for term in block]:
        each = sum(weight * member.influences for weight, member in sample)
        spread, _ = cluster_variance(each - each.mean(axis=0), sample[0][1].classes)
        total += float(spread.sum()) / (len(each) - 1) / len(each)
    return total


def sources_variance(terms: Terms, paired: bool = True) -> tuple[float, float]:
    """The variance over test sources alone, with Satterthwaite's degrees of freedom."""
    total = noise = 0.0
    for sample in [terms] if paired else [[term] for term in terms]:
        influence = sum(weight * member.influence for weight, member in sample)
        variance, df = map(float, cluster_variance(influence, sample[0][1].classes))
        total += variance
        noise += variance**2 / df if variance > 0 else 0.0
    return total, total**2 / noise if noise > 0 else np.inf


def _lone(member: Group) -> bool:
    """Whether the figure rests on a single source of a class: its influence is zero, and its spread not known."""
    return member.support < 2 and any(int((member.classes == label).sum()) == 1 for label in (0, 1))


def _no_interval(estimate: float, terms: Terms) -> str:
    """Why there is none, in words for the table."""
    if np.isfinite(estimate) and any(np.isnan(member.influence).any() for _, member in terms):
        return "none: the estimate is biased by chance; compare ece with ece_calibrated"
    if np.isnan(estimate) and len(terms) > 1 and not any(len(member.values) for _, member in terms):
        return "not defined: no seed in common"
    return "not defined: too few sources or seeds"


def describe(found: Sequence[Terms], scale: str) -> str:
    """The method in words, as it stands in the tables, from the blocks of terms."""
    trained = [block for block in found if not block[0][1].fixed]
    if not trained:
        seeds = "a given model: no seeds"
    elif any(len(block[0][1].values) < 2 for block in trained):
        seeds = "one seed: spread over seeds not measured"
    elif len(trained) > 1:
        seeds = "variance between seeds, none of them common: taken as independent"
    else:
        seeds = "variance between seeds" + (", paired by seed" if len(trained[0]) > 1 else "")
    scale = "" if scale == "identity" else f"; {scale} scale"
    return f"cluster bootstrap of test sources (first order) + {seeds}{scale}; Student's t"
