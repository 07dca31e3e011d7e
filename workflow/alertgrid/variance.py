"""How much does a figure vary between samples of sources, and how well is that known?"""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-12  # figures are of order one: what is smaller than this is no spread


def cluster_variance(influence: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of a figure over samples of sources, and the degrees of freedom of this estimate.

    Each class has a random number n of sources, as in the bootstrap that draws each source by Poisson's law: the sum x
    of the influences of a class has the variance n (var(x) + mean(x)^2), var(x) with n - 1 in the denominator. In the
    same law sum(x^2) has the variance sum(x^4), which makes 2 sum(x^2)^2 / sum(x^4) degrees of freedom (Satterthwaite
    1946: twice the square over the variance): few where few sources carry a figure, never more than n - 1. The two
    classes are joined as in Welch 1947.

    Parameters
    ----------
    influence : (..., m) float
    classes : (m,) int or bool
        See `Group`.

    Returns
    -------
    variance, df : (...,) float
        NaN where a class of one source has influence, since one says nothing about the spread between sources.
    """
    variance = noise = np.zeros(np.shape(influence)[:-1])
    for label in (1, 0):
        part = influence[..., np.asarray(classes) == label]
        n = part.shape[-1]
        if n == 1:
            variance = np.where(np.abs(part[..., 0]) > ROUNDING, np.nan, variance)
        elif n > 1:
            square = n * (part.var(axis=-1, ddof=1) + part.mean(axis=-1) ** 2)
            variance, noise = variance + square, noise + square**2 / _moment_df(part)
    with np.errstate(divide="ignore", invalid="ignore"):
        return variance[()], np.where(noise > 0, variance**2 / noise, np.inf)[()]


def _moment_df(influence: np.ndarray) -> np.ndarray:
    """Degrees of freedom of the variance of one class, from (..., n) influences; see `cluster_variance`."""
    square = influence * influence
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2 * square.sum(axis=-1) ** 2 / (square * square).sum(axis=-1)
    most = influence.shape[-1] - 1
    return np.where(np.isfinite(df), np.clip(df, 1, most), most)


def combined_df(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of variances: 1 / df is the mean of the parts' own, weighted by their shares."""
    total = sum(variance for variance, _ in parts)
    inverse = sum(variance / df for variance, df in parts)
    return total / inverse if inverse > 0 else np.inf
