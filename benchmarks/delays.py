"""Do the intervals of median delays cover what they claim, where many sources are saved on their first day?

Each simulated study draws sources whose delay is 3 days times a normal effect of source, training and seed, cut at
zero: a share of them, which is stated, piles up there. The truth, the median expected of another seed on all sources
of the sky, follows by quadrature. Days are whole ones where that is stated, as for a survey that looks once a night.

    PYTHONPATH=workflow python benchmarks/delays.py [studies]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from alertgrid.medians import mean_of_medians
from scipy import special

OWN = 0.5  # standard deviation of a training's own luck with a source, that of the source's effect being one
RESOLUTION = 0.05  # days; a truth and an end nearer than this are the same day


@dataclass(frozen=True)
class Delays:
    """One kind of study: saved sources, trainings, share saved on the first day, spread of seeds, whole nights or not.

    `spread` is the standard deviation between seeds in units of the source's effect.
    """

    sources: int = 40
    seeds: int = 3
    at_zero: float = 0.46
    spread: float = 0.15
    nights: bool = False

    def days(self, effect: np.ndarray) -> np.ndarray:
        """Delay in days of effects about their median."""
        middle = -np.hypot(1, OWN) * special.ndtri(self.at_zero)
        found = 3 * np.maximum(0, middle + effect)
        return np.ceil(found) if self.nights else found

    def truth(self) -> float:
        """Median delay expected of another seed, days."""
        seeds = special.ndtri((np.arange(20000) + 0.5) / 20000) * self.spread
        return float(self.days(seeds).mean())

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Delays of each training on the same sources."""
        shared = rng.normal(size=self.sources)
        runs = [OWN * rng.normal(size=self.sources) + self.spread * rng.normal() for _ in range(self.seeds)]
        return [self.days(shared + run) for run in runs]


def coverage(kind: Delays, studies: int, seed: int = 0) -> float:
    """Share of studies whose 95 % interval holds the truth."""
    truth, inside = kind.truth(), 0
    for number in range(studies):
        found = mean_of_medians(kind.draw(np.random.default_rng([seed, number])))
        inside += found.low - RESOLUTION <= truth <= found.high + RESOLUTION
    return inside / studies


KINDS = [
    *(Delays(sources, 3, share) for sources in (10, 40, 200) for share in (0.3, 0.46, 0.48, 0.7)),
    *(Delays(seeds=seeds, spread=spread) for seeds in (2, 5) for spread in (0.0, 0.3)),
    Delays(seeds=1, spread=0.0),
    Delays(spread=0.5),
    Delays(nights=True),
    Delays(at_zero=0.3, nights=True),
]

if __name__ == "__main__":
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for kind in KINDS:
        print(f"{kind}: median {kind.truth():.2f} days, coverage {coverage(kind, studies):.3f}", flush=True)
