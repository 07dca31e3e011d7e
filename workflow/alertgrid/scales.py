"""Where does an interval end? Scales on which intervals are symmetric, and bounds where nothing varied."""

from __future__ import annotations

import numpy as np
from scipy import special

BOUNDED = {"mcc": "atanh"}  # every other figure of this package without a unit lies in [0, 1]
_FORWARD = {"identity": lambda x: x, "logit": special.logit, "atanh": np.arctanh}
_BACKWARD = {"identity": lambda x: x, "logit": special.expit, "atanh": np.tanh}
_SLOPE = {"identity": lambda x: 1.0, "logit": lambda x: 1 / (x * (1 - x)), "atanh": lambda x: 1 / (1 - x * x)}
LOWEST = {"identity": -1.0, "logit": 0.0, "atanh": -1.0}  # identity: a difference of two figures in [0, 1]


def scale_of(metric: str) -> str:
    """The scale on which a figure's own interval is symmetric."""
    return BOUNDED.get(metric, "logit")


def bounds(estimate: float, half: float, scale: str) -> tuple[float, float]:
    """Ends of an interval that is symmetric on `scale`, its half width given on the figure's own scale."""
    estimate = np.float64(estimate)  # whose division by zero is infinite, not an error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        centre, reach = _FORWARD[scale](estimate), half * _SLOPE[scale](estimate)
        ends = float(_BACKWARD[scale](centre - reach)), float(_BACKWARD[scale](centre + reach))
    # At 0 or 1 the transform has no value: with seeds that differ all the same, the plain interval cut at the ends.
    return ends if np.all(np.isfinite(ends)) else (max(estimate - half, LOWEST[scale]), min(estimate + half, 1.0))


def boundary(estimate: float, support: int, level: float, lowest: float = 0.0) -> tuple[float, float]:
    """Interval where all of `support` sources agree, as for a proportion 0 or 1 (Clopper & Pearson 1934)."""
    if support < 1:
        return np.nan, np.nan
    short = float(((1 - level) / 2) ** (1 / support))
    width = (1 - short) * (1 - lowest)
    return max(estimate - width, lowest), min(estimate + width, 1.0)
