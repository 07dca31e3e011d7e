"""Do the intervals of the report cover what they claim? Simulated studies with a known truth.

Each study draws test objects with several alerts each and several trainings whose skill varies with the seed. Scores
hold an effect of the object that all trainings share, one of the object and training, and noise per alert. The truth,
the ROC AUC expected of another seed on all objects of the sky, follows from the normal distribution.

    PYTHONPATH=workflow python benchmarks/coverage.py [studies]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from alertgrid.comparison import Interval, contrast, group
from alertgrid.metrics import influences
from scipy import special, stats


@dataclass(frozen=True)
class Sky:
    """One simulated kind of study.

    Attributes
    ----------
    sources : int
        Test objects.
    positive : float
        Fraction of them with label 1.
    seeds : int
        Trainings per cell.
    skill, spread : float
        Mean distance of the classes and its standard deviation between seeds.
    shared, own : float
        Standard deviation of the object's effect shared by all trainings, and of the one of a single training.
    """

    sources: int = 300
    positive: float = 0.4
    seeds: int = 3
    skill: float = 2.5
    spread: float = 0.15
    shared: float = 0.8
    own: float = 0.4


def true_auc(sky: Sky, shift: float = 0.0) -> float:
    """Expected AUC over seeds, by Gauss-Hermite quadrature over the skill."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    width = np.sqrt(2 * (1 + sky.shared**2 + sky.own**2))
    return float(weights @ stats.norm.cdf((sky.skill + shift + sky.spread * nodes) / width) / weights.sum())


def study(sky: Sky, rng: np.random.Generator, shifts: tuple[float, ...] = (0.0,)) -> list:
    """Groups of `roc_auc` for cells of one study, one per shift of the skill, on the same objects."""
    label = rng.random(sky.sources) < sky.positive
    source = np.repeat(np.arange(sky.sources), rng.integers(1, 8, sky.sources))
    shared = rng.normal(0, sky.shared, sky.sources)
    groups = []
    for shift in shifts:
        runs = [_run(sky, rng, label, source, shared, shift) for _ in range(sky.seeds)]
        values, rows = zip(*runs, strict=True)
        groups.append(group(values, rows, label, min(label.sum(), (~label).sum())))
    return groups


def _run(sky, rng, label, source, shared, shift):
    """AUC and influences of one training."""
    skill = sky.skill + shift + rng.normal(0, sky.spread)
    latent = skill * label + shared + rng.normal(0, sky.own, sky.sources)
    score = special.expit(latent[source] + rng.normal(0, 1, len(source)) - sky.skill / 2)
    values, rows = influences(label[source], score, source, sky.sources, 0.5)
    return values["roc_auc"], rows["roc_auc"]


def coverage(sky: Sky, studies: int, seed: int = 0) -> dict[str, float]:
    """Fraction of studies whose 95 % interval holds the truth: of the figure and of a difference of two cells."""
    truth = true_auc(sky)
    difference = true_auc(sky, 0.3) - truth
    inside = {"figure": 0, "difference": 0}
    for number in range(studies):
        first, second = study(sky, np.random.default_rng([seed, number]), (0.0, 0.3))
        inside["figure"] += holds(contrast([(1, first)], scale="logit"), truth)
        inside["difference"] += holds(contrast([(1, second), (-1, first)]), difference)
    return {name: count / studies for name, count in inside.items()}


def holds(interval: Interval, truth: float) -> bool:
    """Whether the interval holds the truth."""
    return interval.low <= truth <= interval.high


SKIES = {
    "300 objects, 3 seeds": Sky(),
    "300 objects, 2 seeds": Sky(seeds=2),
    "300 objects, 5 seeds": Sky(seeds=5),
    "60 objects, 3 seeds": Sky(sources=60),
    "1000 objects, 3 seeds": Sky(sources=1000),
    "300 objects, 5 % positive, 3 seeds": Sky(positive=0.05),
    "300 objects, AUC 0.99, 3 seeds": Sky(skill=4.5),
    "300 objects, large spread of seeds, 3 seeds": Sky(spread=0.5),
    "1000 objects, large spread of seeds, 5 seeds": Sky(sources=1000, spread=0.5, seeds=5),
    "300 objects, no spread of seeds, 3 seeds": Sky(spread=0.0),
}

if __name__ == "__main__":
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"coverage of 95 % intervals, {studies} studies each")
    for name, sky in SKIES.items():
        result = coverage(sky, studies)
        print(
            f"{name:48s} AUC {true_auc(sky):.3f}  figure {result['figure']:.3f}  difference {result['difference']:.3f}"
        )
