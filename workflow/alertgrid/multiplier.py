"""How many times less training data does a pre-trained model need? The data multiplier, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import Group, sources_variance, total_variance


class Bootstrap:
    """Object counts of a cluster bootstrap, drawn once and shared by every run.

    Parameters
    ----------
    n_sources : int
    replicates : int
    seed : int
    """

    def __init__(self, n_sources: int, replicates: int = 1000, seed: int = 0):
        rng = np.random.default_rng([seed, n_sources])
        draws = (rng.integers(0, n_sources, n_sources) for _ in range(replicates))
        self.counts = np.stack([np.bincount(draw, minlength=n_sources).astype(np.float32) for draw in draws])
        self.rng = np.random.default_rng([seed, n_sources, 1])

    @property
    def method(self) -> str:
        """What is done, as it stands in the table."""
        drawn = f"{len(self.counts)} bootstrap samples of test sources (first order)"
        return f"percentiles over {drawn} with normal draws of the seeds' mean"

    def replicate(self, member: Group) -> np.ndarray:
        """The figure of a group on every resampled test set, (replicates,), with a fresh draw of its seeds' mean."""
        seeds = total_variance([(1.0, member)])[0] - sources_variance([(1.0, member)])[0]
        noise = self.rng.standard_normal(len(self.counts)) * np.sqrt(max(seeds, 0.0))
        return member.estimate + self.counts @ member.influence.astype(np.float32) + noise


@dataclass(frozen=True)
class Multiplier:
    """How many times fewer training sources match the reference. NaN bounds are beyond the fractions measured.

    `method` says how the interval of this level was obtained; `n_fractions` points of the curve and `n_seeds`, the
    fewest of a point or the reference, are what it rests on.
    """

    multiplier: float
    low: float
    high: float
    status: str
    level: float
    method: str
    n_fractions: int
    n_seeds: int


def data_multiplier(
    sources: Sequence[float],
    curve: Sequence[Group],
    full: float,
    reference: Group,
    bootstrap: Bootstrap,
    level: float = 0.95,
) -> Multiplier:
    """How many times fewer training sources a cell needs to match the reference at its full training set.

    Parameters
    ----------
    sources : (k,) float
        Training sources of each point of the curve, rising.
    curve : (k,) Group
        The cell at each of them.
    full : float
        Training sources of the reference.
    reference : Group
        What is to be matched.
    bootstrap : Bootstrap
    level : float

    Returns
    -------
    Multiplier
        status "reached"; "at least" when the smallest fraction is as good already (the multiplier is a lower bound);
        "not reached" when no fraction is as good (multiplier NaN).
    """
    logs = np.log(np.asarray(sources, float))
    value = crossing(logs, np.array([[point.estimate] for point in curve]), np.array([reference.estimate]))[0]
    points = np.stack([bootstrap.replicate(point) for point in curve])
    crossings = crossing(logs, points, bootstrap.replicate(reference))
    # Quantiles by rank, so that crossings at infinity (never) and minus infinity (before the first point) keep theirs.
    early, late = np.quantile(crossings, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    ends = [float(full / np.exp(end)) if np.isfinite(end) else np.nan for end in (late, early)]
    place, status = {np.inf: (np.nan, "not reached"), -np.inf: (logs[0], "at least")}.get(value, (value, "reached"))
    n_seeds = min(len(member.values) for member in [*curve, reference])
    return Multiplier(float(full / np.exp(place)), *ends, status, level, bootstrap.method, len(curve), n_seeds)


def crossing(x: np.ndarray, curves: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where each curve, linear between its points, first reaches its target.

    Parameters
    ----------
    x : (k,) rising
    curves : (k, n)
    target : (n,)

    Returns
    -------
    (n,) : -inf where the first point is there already, inf where none is.
    """
    gap = curves - target
    reached = gap >= 0
    first = np.argmax(reached, axis=0)
    result = np.where(reached.any(axis=0), -np.inf, np.inf)
    inside = np.flatnonzero(reached.any(axis=0) & (first > 0))
    after, before = gap[first[inside], inside], gap[first[inside] - 1, inside]
    share = -before / (after - before)
    result[inside] = x[first[inside] - 1] + share * (x[first[inside]] - x[first[inside] - 1])
    return result
