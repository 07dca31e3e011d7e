"""How sources brighten and fade: magnitudes or relative fluxes at given times and bands.

The supernova tables are rounded from textbook light curves (Filippenko 1997, ARA&A 35, 309); the damped random walk of
active nuclei is that of Kelly et al. 2009, ApJ 698, 895. Bands are ZTF's: 1 = g, 2 = r.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Days from peak brightness, and magnitudes below it in g and r.
SUPERNOVA_DAYS = np.array([-20, -15, -10, -5, 0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130.0])
SUPERNOVA_END = 130.0


@dataclass(frozen=True)
class SupernovaType:
    """One family of light curves: name, share among found supernovae, magnitudes below peak in g and r."""

    name: str
    share: float
    g: tuple[float, ...]
    r: tuple[float, ...]


# ASSUME: shares as in a magnitude-limited sample: seven in ten are of type Ia.
SUPERNOVA_TYPES = (
    SupernovaType(
        "SN Ia",
        0.70,
        (5, 2.2, 0.85, 0.2, 0, 0.2, 0.55, 1.0, 1.5, 1.95, 2.3, 2.75, 3.0, 3.15, 3.5, 3.9, 4.4),
        (5, 2.2, 0.85, 0.25, 0.05, 0.15, 0.4, 0.65, 0.75, 0.85, 1.0, 1.5, 1.85, 2.1, 2.65, 3.15, 3.9),
    ),
    SupernovaType(
        "SN II",
        0.20,
        (9, 7, 4.5, 0.8, 0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 1.0, 1.2, 1.4, 1.9, 2.9, 3.6),
        (9, 7, 4.2, 0.75, 0.05, 0, 0.02, 0.04, 0.07, 0.1, 0.13, 0.2, 0.25, 0.35, 0.7, 1.9, 2.4),
    ),
    SupernovaType(
        "SN Ibc",
        0.10,
        (6, 3, 1.2, 0.3, 0, 0.3, 0.9, 1.5, 1.95, 2.25, 2.45, 2.7, 2.9, 3.05, 3.4, 3.8, 4.3),
        (5.7, 2.6, 0.8, 0, -0.3, -0.2, 0.1, 0.5, 0.85, 1.1, 1.3, 1.6, 1.8, 2.0, 2.4, 2.8, 3.3),
    ),
)


def supernova(rng: np.random.Generator, days: np.ndarray, fid: np.ndarray, peak: float) -> tuple[str, np.ndarray]:
    """Type and magnitudes of a supernova.

    Parameters
    ----------
    rng : Generator
    days : ndarray (n,)
        Days from peak.
    fid : ndarray (n,)
        Band, 1 or 2.
    peak : float
        Magnitude at the brighter band's peak.

    Returns
    -------
    tuple of str and ndarray (n,)
        Magnitudes; infinite before the table begins and after it ends.
    """
    shares = np.array([kind.share for kind in SUPERNOVA_TYPES])
    kind = SUPERNOVA_TYPES[rng.choice(len(shares), p=shares)]
    # ASSUME: widths scatter by 12 %, one in thirty is a long-lived superluminous one; colours scatter by 0.1 mag.
    stretch = np.exp(rng.normal(0, 0.12)) * (2.2 if rng.random() < 1 / 30 else 1.0)
    colour = rng.normal(0, 0.1)
    curves = np.array([kind.g, kind.r]) + np.array([[max(colour, 0)], [max(-colour, 0)]])
    curves -= curves.min()
    when = days / stretch
    ends = {"left": np.inf, "right": np.inf}
    magnitude = np.where(
        fid == 1, np.interp(when, SUPERNOVA_DAYS, curves[0], **ends), np.interp(when, SUPERNOVA_DAYS, curves[1], **ends)
    )
    return kind.name, peak + magnitude


def damped_random_walk(rng: np.random.Generator, jd: np.ndarray, sigma: float, tau: float) -> np.ndarray:
    """Magnitude variations (n,) about zero with long-term scatter `sigma` mag and memory `tau` days; jd ascending."""
    memory = np.exp(-np.diff(jd) / tau)
    steps = rng.standard_normal(len(jd)) * sigma
    walk = np.empty(len(jd))
    walk[:1] = steps[:1]
    for index in range(1, len(jd)):
        keep = memory[index - 1]
        walk[index] = keep * walk[index - 1] + np.sqrt(1 - keep * keep) * steps[index]
    return walk


def periodic(rng: np.random.Generator, jd: np.ndarray, fid: np.ndarray) -> np.ndarray:
    """Magnitude variations (n,) of a pulsating or eclipsing star about its mean.

    ASSUME: half pulsate with the fast rise of RR Lyrae stars and Cepheids, a quarter eclipse, a quarter vary slowly and
    smoothly as long-period variables do; amplitudes are three tenths smaller in r than in g.
    """
    shape = rng.choice(["sawtooth", "eclipse", "slow"], p=[0.5, 0.25, 0.25])
    period = np.exp(rng.uniform(np.log(80), np.log(400)) if shape == "slow" else rng.uniform(np.log(0.25), np.log(20)))
    amplitude = min(0.3 * np.exp(rng.normal(0, 0.6)) * (3 if shape == "slow" else 1), 3.0)
    turn = (jd / period + rng.random()) % 1.0
    wave = {
        "sawtooth": lambda: np.where(turn < 0.2, 1 - turn / 0.2, (turn - 0.2) / 0.8) - 0.5,
        "eclipse": lambda: 1.5 * np.maximum(1 - np.abs(turn - 0.5) / 0.08, 0),
        "slow": lambda: 0.5 * np.sin(2 * np.pi * turn),
    }[shape]()
    return 2 * amplitude * wave * np.where(fid == 1, 1.0, 0.7)


def outbursts(rng: np.random.Generator, jd: np.ndarray) -> np.ndarray:
    """Brightening in mag (n,) of a dwarf nova: sudden rises of some magnitudes, days of plateau, a quick decline."""
    recurrence = np.exp(rng.uniform(np.log(40), np.log(1500)))
    starts = np.arange(jd[0] - 30 + rng.uniform(0, recurrence), jd[-1], recurrence)
    starts = starts + rng.normal(0, 0.2 * recurrence, len(starts))
    height = rng.uniform(2.0, 5.0)
    plateau, decline = rng.uniform(2, 14), rng.uniform(0.3, 1.0)  # days, mag per day
    since = jd[:, None] - starts[None, :]
    burst = np.minimum(height * (since + 1.0), height) - decline * np.maximum(since - plateau, 0) - 0.03 * since
    return np.maximum(np.where(since > -1, burst, 0), 0).max(axis=1, initial=0)
