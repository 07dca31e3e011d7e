"""Do the intervals of the report cover what they claim? Simulated studies with a known truth.

Each study draws test objects with several alerts each and several trainings whose skill varies with the seed. Scores
hold an effect of the object that all trainings share, one of the object and training, and noise per alert. The truth,
the ROC AUC, average precision or F1 expected of another seed on all objects of the sky, follows from the normal
distribution.

Before, for normal data and any ratio of the two variances: what coverage must come out of the degrees of freedom used,
by numerical integration, beside those of Satterthwaite. No study is drawn for that.

    PYTHONPATH=workflow python benchmarks/coverage.py [studies] [metric]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from alertgrid.comparison import Group, Interval, combined_df, contrast, group
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


def true_value(sky: Sky, metric: str, shift: float = 0.0) -> float:
    """Expected value of a metric over seeds on all objects of the sky; F1 at the threshold of the scores, 0.5."""
    if metric == "roc_auc":
        return true_auc(sky, shift)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    skills = sky.skill + shift + sky.spread * nodes
    values = [(_true_f1 if metric == "f1" else _true_precision)(sky, skill) for skill in skills]
    return float(weights @ values / weights.sum())


def _width(sky: Sky) -> float:
    """Standard deviation of the latent score of an alert about the mean of its class."""
    return float(np.sqrt(1 + sky.shared**2 + sky.own**2))


def _true_f1(sky: Sky, skill: float) -> float:
    """F1 of one training on all alerts of the sky."""
    true, false = (stats.norm.sf(sky.skill / 2, mean, _width(sky)) for mean in (skill, 0.0))
    called = sky.positive * true + (1 - sky.positive) * false
    return 2 * sky.positive * true / (called + sky.positive)


def _true_precision(sky: Sky, skill: float) -> float:
    """Average precision of one training: the mean over positive alerts of the precision at their score."""
    score = stats.norm.ppf((np.arange(4000) + 0.5) / 4000, skill, _width(sky))
    true, false = (stats.norm.sf(score, mean, _width(sky)) for mean in (skill, 0.0))
    return float(np.mean(sky.positive * true / (sky.positive * true + (1 - sky.positive) * false)))


def study(
    sky: Sky, rng: np.random.Generator, shifts: tuple[float, ...] = (0.0,), metric: str = "roc_auc"
) -> list[Group]:
    """Groups of a metric for cells of one study, one per shift of the skill, on the same objects."""
    label = rng.random(sky.sources) < sky.positive
    source = np.repeat(np.arange(sky.sources), rng.integers(1, 8, sky.sources))
    shared = rng.normal(0, sky.shared, sky.sources)
    groups = []
    for shift in shifts:
        runs = [_run(sky, rng, label, source, shared, shift, metric) for _ in range(sky.seeds)]
        values, rows = zip(*runs, strict=True)
        groups.append(group(values, rows, label, min(label.sum(), (~label).sum())))
    return groups


def _run(sky, rng, label, source, shared, shift, metric):
    """Value and influences of one training."""
    skill = sky.skill + shift + rng.normal(0, sky.spread)
    latent = skill * label + shared + rng.normal(0, sky.own, sky.sources)
    score = special.expit(latent[source] + rng.normal(0, 1, len(source)) - sky.skill / 2)
    values, rows = influences(label[source], score, source, sky.sources, 0.5)
    return values[metric], rows[metric]


def coverage(sky: Sky, studies: int, seed: int = 0, metric: str = "roc_auc") -> dict[str, float]:
    """Fraction of studies whose 95 % interval holds the truth: of the figure and of a difference of two cells."""
    truth = true_value(sky, metric)
    difference = true_value(sky, metric, 0.3) - truth
    inside = {"figure": 0, "difference": 0}
    for number in range(studies):
        first, second = study(sky, np.random.default_rng([seed, number]), (0.0, 0.3), metric)
        inside["figure"] += holds(contrast([(1, first)], scale="logit"), truth)
        inside["difference"] += holds(contrast([(1, second), (-1, first)]), difference)
    return {name: count / studies for name, count in inside.items()}


def holds(interval: Interval, truth: float) -> bool:
    """Whether the interval holds the truth."""
    return interval.low <= truth <= interval.high


def expected_coverage(ratio: float, seeds: int, df_of: Callable[[float, float, int], float]) -> float:
    """Coverage of a 95 % interval whose one variance is known and whose other one comes from the spread of few seeds.

    Parameters
    ----------
    ratio : float
        True variance of the mean over seeds, over the known variance.
    seeds : int
    df_of : callable
        (known variance, estimated variance, its degrees of freedom) -> degrees of freedom of the quantile.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    place = ((nodes + 1) / 2) ** 2  # dense where the spread is small by luck
    found = ratio * special.chdtri(seeds - 1, 1 - place) / (seeds - 1)
    df = np.array([df_of(1.0, variance, seeds - 1) for variance in found])
    half = np.sqrt(1 + found) * special.stdtrit(np.minimum(df, 1e9), 0.975)
    inside = 2 * special.ndtr(half / np.sqrt(1 + ratio)) - 1
    return float(weights * (nodes + 1) / 2 @ inside)


def satterthwaite(known: float, estimated: float, df: int) -> float:
    """Degrees of freedom of the sum after Satterthwaite 1946."""
    return (known + estimated) ** 2 * df / estimated**2


def by_shares(known: float, estimated: float, df: int) -> float:
    """Degrees of freedom as the report takes them."""
    return combined_df((known, np.inf), (estimated, df))


RATIOS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 256, 1e4)

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
    metric = sys.argv[2] if len(sys.argv) > 2 else "roc_auc"
    print("expected coverage of 95 % intervals for normal data, least and greatest over all ratios of the variances")
    for seeds in (2, 3, 4, 5, 10):
        for name, df_of in (("Satterthwaite", satterthwaite), ("by shares", by_shares)):
            shares = [expected_coverage(ratio, seeds, df_of) for ratio in RATIOS]
            print(f"{seeds:3d} seeds, {name:14s} {min(shares):.3f} to {max(shares):.3f}")
    print(f"coverage of 95 % intervals in simulated studies, {studies} each")
    for name, sky in SKIES.items():
        result = coverage(sky, studies, metric=metric)
        found = f"figure {result['figure']:.3f}  difference {result['difference']:.3f}"
        print(f"{name:48s} {metric} {true_value(sky, metric):.3f}  {found}")
