"""How many times less training data does a pre-trained model need? The data multiplier, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import Group, Interval, contrast

_STEPS = 16  # places between two fractions at which the curve is tested; between these the ends are interpolated
_UNMEASURED = "none: one seed, spread over seeds not measured"


@dataclass(frozen=True)
class Multiplier:
    """How many times fewer training sources match the reference.

    `low` is 0 where the interval holds that no fraction measured matches the reference, `high` is infinite where it
    holds that fewer sources than the smallest fraction's do; both are NaN where there is no interval. `method` says how
    the interval of this level was obtained; `n_fractions` points of the curve and `n_seeds`, common to them and the
    reference, are what it rests on.
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
    sources: Sequence[float], curve: Sequence[Group], full: float, reference: Group, level: float = 0.95
) -> Multiplier:
    """How many times fewer training sources a cell needs to match the reference at its full training set.

    The interval inverts a test (Fieller 1954): it reaches over all places of the curve, linear in log n between its
    points, whose difference to the reference holds zero in its own interval (see `comparison.contrast`). Without an end
    where that is so at the first or the last point.

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
    level : float

    Returns
    -------
    Multiplier
        status "reached"; "at least" when the smallest fraction is as good already (the multiplier is a lower bound);
        "not reached" when no fraction is as good (multiplier NaN).
    """
    logs, (*curve, reference) = np.log(np.asarray(sources, float)), _at_common_seeds([*curve, reference])
    value = crossing(logs, np.array([point.estimate - reference.estimate for point in curve]))
    place, status = {np.inf: (np.nan, "not reached"), -np.inf: (logs[0], "at least")}.get(value, (value, "reached"))
    n_seeds = min(len(member.values) for member in [*curve, reference])
    low, high, method = _ends(logs, curve, np.log(full), reference, level)
    return Multiplier(float(full / np.exp(place)), low, high, status, level, method, len(curve), n_seeds)


def _at_common_seeds(members: Sequence[Group]) -> Sequence[Group]:
    """Groups cut down to the seeds that all have, so that estimate and interval rest on the same; as they are if none.

    The ends come from differences of neighbouring points, which would each take the seeds that three groups have.
    """
    common = sorted(set.intersection(*(set(member.seeds) for member in members)))
    return [member.at(common) for member in members] if common else members


def _ends(
    logs: np.ndarray, curve: Sequence[Group], full: float, reference: Group, level: float
) -> tuple[float, float, str]:
    """Ends of the multiplier's interval, and how they were obtained; `full` in log n."""
    positions = np.linspace(0, len(curve) - 1, (len(curve) - 1) * _STEPS + 1)
    gaps = [_gap(curve, position, reference, level) for position in positions]
    if any(gap.one_seed for gap in gaps):
        return np.nan, np.nan, _UNMEASURED
    lows, highs = (np.array([getattr(gap, end) for gap in gaps]) for end in ("low", "high"))
    if np.isnan(lows).any():
        return np.nan, np.nan, next(gap.method for gap in gaps if np.isnan(gap.low))
    x = np.interp(positions, np.arange(len(logs)), logs)
    # From the left until the gap may be zero, and from the right until it may be zero.
    early, late = min(crossing(x, highs), logs[-1]), max(-crossing(-x[::-1], -lows[::-1]), logs[0])
    method = f"training sources at which the difference is not told from zero (Fieller 1954); {gaps[0].method}"
    return float(np.exp(full - late)), float(np.exp(full - early)), method


def _gap(curve: Sequence[Group], position: float, reference: Group, level: float) -> Interval:
    """The curve minus the reference at a place between two points, 1.5 being halfway between the second and third."""
    before = min(int(position), max(len(curve) - 2, 0))
    share = position - before
    terms = [(1 - share, curve[before]), (share, curve[min(before + 1, len(curve) - 1)]), (-1.0, reference)]
    return contrast([term for term in terms if term[0] != 0], level)


def crossing(x: np.ndarray, gap: np.ndarray) -> float:
    """Where a curve, linear between its points, first reaches zero.

    Parameters
    ----------
    x : (k,) rising
    gap : (k,)

    Returns
    -------
    float : -inf where the first point is there already, inf where none is.
    """
    reached = np.flatnonzero(gap >= 0)
    if not len(reached):
        return np.inf
    first = reached[0]
    if first == 0:
        return -np.inf
    share = -gap[first - 1] / (gap[first] - gap[first - 1])
    return float(x[first - 1] + share * (x[first] - x[first - 1]))


def in_words(status: str, multiplier: float, low: float, high: float) -> str:
    """A multiplier with its interval, "1.2 (up to 2.4)" or "at least 3.9 (no interval)"."""
    value = f"{multiplier:.1f}" if np.isfinite(multiplier) else ""
    said = value if status == "reached" else f"{status} {value}".strip()
    return f"{said} ({_ends_in_words(low, high)})"


def _ends_in_words(low: float, high: float) -> str:
    """An interval of the multiplier, its open ends in words."""
    if np.isnan(low) or np.isnan(high):
        return "no interval"
    if low > 0 and np.isfinite(high):
        return f"{low:.1f} to {high:.1f}"
    if low > 0:
        return f"{low:.1f} or more"
    return f"up to {high:.1f}" if np.isfinite(high) else "not bounded"


OPEN_ENDS = (
    'An interval "up to" a factor includes that no fraction measured matches the reference; one of a factor "or more", '
    "that less than the smallest fraction does; one that is not bounded, both."
)
