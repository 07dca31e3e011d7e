"""Do the intervals of the report cover what they claim? Simulated studies with a known truth.

Each study draws test objects with several alerts each and several trainings whose skill varies with the seed. Scores
hold an effect of the object that all trainings share, one of the object and training, and noise per alert. The truth,
the ROC AUC, average precision or F1 expected of another seed on all objects of the sky, follows from the normal
distribution.

Trainings of the same seed in two cells may be alike (a fusion stands on the runs of its seed, and seeds share their
training subset): their skill and their effects of the objects are correlated by as much as a kind of study says.

Before, for normal data and any ratio of the two variances: what coverage must come out of the degrees of freedom used,
by numerical integration, beside those of Satterthwaite. No study is drawn for that.

    PYTHONPATH=workflow python benchmarks/coverage.py [studies] [seed] [metric ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from alertgrid.comparison import Interval, Terms, contrast, group
from alertgrid.metrics import confusion_influence, source_counts
from alertgrid.ranking import Ranking, average_precision, roc_auc
from alertgrid.variance import combined_df
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
    alike : float
        Correlation of skill and own effects between trainings of one seed: of the two cells of a difference, or of
        the pairs where there are several.
    other_spread : float, optional
        Spread of the second cell, where it is another one.
    others : sequence of int, optional
        Seeds of the second cell, where they are not the same.
    pairs : int
        The difference is a mean over so many pairs of cells.
    """

    sources: int = 300
    positive: float = 0.4
    seeds: int = 3
    skill: float = 2.5
    spread: float = 0.15
    shared: float = 0.8
    own: float = 0.4
    alike: float = 0.0
    other_spread: float | None = None
    others: tuple[int, ...] | None = None
    pairs: int = 1

    def side(self, number: int) -> tuple[float, float, tuple[int, ...]]:
        """Shift of the skill, its spread and the seeds of the first (0) or second cell (1) of a pair."""
        spread = self.spread if number == 0 or self.other_spread is None else self.other_spread
        return SHIFT * number, spread, tuple(range(self.seeds)) if number == 0 or self.others is None else self.others


SHIFT = 0.3


def true_auc(sky: Sky, shift: float = 0.0) -> float:
    """Expected AUC over seeds, by Gauss-Hermite quadrature over the skill."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    width = np.sqrt(2 * (1 + sky.shared**2 + sky.own**2))
    return float(weights @ stats.norm.cdf((sky.skill + shift + sky.spread * nodes) / width) / weights.sum())


def true_difference(sky: Sky, metric: str) -> float:
    """Expected value of the second cell minus that of the first."""
    shift, spread, _ = sky.side(1)
    return true_value(replace(sky, spread=spread), metric, shift) - true_value(sky, metric)


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


def study(sky: Sky, rng: np.random.Generator, metrics: Sequence[str]) -> dict[str, Terms]:
    """The difference of one study as terms, by metric; the last term is a cell of the first kind with weight -1."""
    label = rng.random(sky.sources) < sky.positive
    source = np.repeat(np.arange(sky.sources), rng.integers(1, 8, sky.sources))
    alerts, rarer = (label, source, rng.normal(0, sky.shared, sky.sources)), min(label.sum(), (~label).sum())
    common, terms = {}, {metric: [] for metric in metrics}
    for number in [1, 0] * sky.pairs:
        seeds = sky.side(number)[2]
        runs = [_run(sky, rng, alerts, number, _common(sky, rng, common, seed, number), metrics) for seed in seeds]
        for metric in metrics:
            values, rows = zip(*(run[metric] for run in runs), strict=True)
            member = group(values, rows, label, rarer, seeds=seeds)
            terms[metric].append(((2 * number - 1) / sky.pairs, member))
    return terms


def _common(sky: Sky, rng: np.random.Generator, drawn: dict, seed: int, number: int) -> tuple[float, np.ndarray]:
    """Skill and effects of the objects, of unit variance, that all trainings of a seed share which are alike."""
    key = (seed, number if sky.pairs > 1 else 0)
    if key not in drawn:
        drawn[key] = rng.normal(), rng.normal(0, 1, sky.sources)
    return drawn[key]


def _run(sky, rng, alerts, number, common, metrics):
    """Value and influences of one training, by metric."""
    (label, source, shared), (shift, spread, _) = alerts, sky.side(number)
    alike, own = np.sqrt([sky.alike, 1 - sky.alike])
    skill = sky.skill + shift + spread * (alike * common[0] + own * rng.normal())
    effect = sky.own * (alike * common[1] + own * rng.normal(0, 1, sky.sources))
    latent = skill * label + shared + effect
    score = special.expit(latent[source] + rng.normal(0, 1, len(source)) - sky.skill / 2)
    return {metric: _figure(metric, label[source], score, source, sky.sources) for metric in metrics}


def _figure(metric, label, score, source, n_sources):
    """Value and influence of each source, as the report has them."""
    if metric == "f1":
        return confusion_influence("f1", source_counts(label, score > 0.5, source, n_sources))
    ranking = Ranking.of(label, score)
    value, alerts = {"roc_auc": roc_auc, "average_precision": average_precision}[metric](ranking, influence=True)
    return value, np.bincount(source[ranking.order], alerts, n_sources)


def coverage(
    sky: Sky, studies: int, seed: int = 0, metrics: Sequence[str] = ("roc_auc",)
) -> dict[str, tuple[float, float]]:
    """Fraction of studies whose 95 % interval holds the truth, by metric: of a figure, and of a difference."""
    truths = {metric: (true_value(sky, metric), true_difference(sky, metric)) for metric in metrics}
    inside = {metric: np.zeros(2) for metric in metrics}
    for number in range(studies):
        for metric, terms in study(sky, np.random.default_rng([seed, number]), metrics).items():
            found = contrast([(1.0, terms[-1][1])], scale="logit"), contrast(terms)
            inside[metric] += [holds(*pair) for pair in zip(found, truths[metric], strict=True)]
    return {metric: tuple(count / studies) for metric, count in inside.items()}


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
    "300 objects, 1 seed": Sky(seeds=1),
    "300 objects, 2 seeds": Sky(seeds=2),
    "300 objects, 5 seeds": Sky(seeds=5),
    "60 objects, 3 seeds": Sky(sources=60),
    "1000 objects, 3 seeds": Sky(sources=1000),
    "300 objects, 5 % positive, 3 seeds": Sky(positive=0.05),
    "300 objects, AUC 0.99, 3 seeds": Sky(skill=4.5),
    "300 objects, large spread of seeds, 3 seeds": Sky(spread=0.5),
    "1000 objects, large spread of seeds, 5 seeds": Sky(sources=1000, spread=0.5, seeds=5),
    "300 objects, no spread of seeds, 3 seeds": Sky(spread=0.0),
    "300 objects, 3 seeds alike": Sky(alike=0.9),
    "300 objects, 1 seed alike": Sky(alike=0.9, seeds=1),
    "300 objects, 2 seeds alike": Sky(alike=0.9, seeds=2),
    "300 objects, 5 seeds alike": Sky(alike=0.9, seeds=5),
    "60 objects, 3 seeds alike": Sky(alike=0.9, sources=60),
    "300 objects, 5 % positive, 3 seeds alike": Sky(alike=0.9, positive=0.05),
    "300 objects, large spread of seeds, 3 seeds alike": Sky(alike=0.9, spread=0.5),
    "300 objects, spreads 0.5 and 0.05, 3 seeds": Sky(spread=0.5, other_spread=0.05),
    "300 objects, spreads 0.5 and 0.05, 3 seeds alike": Sky(spread=0.5, other_spread=0.05, alike=0.9),
    "300 objects, 3 and 2 seeds alike, 2 in common": Sky(alike=0.9, others=(0, 1)),
    "300 objects, 4 and 3 seeds alike, 3 in common": Sky(alike=0.9, seeds=4, others=(0, 1, 2)),
    "300 objects, 3 and 3 seeds, none in common": Sky(others=(3, 4, 5)),
    "300 objects, spreads 0.5 and 0.05, none of 3 seeds in common": Sky(
        spread=0.5, other_spread=0.05, others=(3, 4, 5)
    ),
    "300 objects, mean of 2 pairs alike, 3 seeds": Sky(alike=0.9, pairs=2),
}

if __name__ == "__main__":
    studies, first = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 2000), (2, 0)))
    metrics = sys.argv[3:] or ["roc_auc", "average_precision", "f1"]
    print("expected coverage of 95 % intervals for normal data, least and greatest over all ratios of the variances")
    for seeds in (2, 3, 4, 5, 10):
        for name, df_of in (("Satterthwaite", satterthwaite), ("by shares", by_shares)):
            shares = [expected_coverage(ratio, seeds, df_of) for ratio in RATIOS]
            print(f"{seeds:3d} seeds, {name:14s} {min(shares):.3f} to {max(shares):.3f}")
    print(f"coverage of 95 % intervals in simulated studies, {studies} each: figure, difference")
    for name, sky in SKIES.items():
        found = coverage(sky, studies, first, metrics)
        print(f"{name:62s}", *(f"{metric} {x:.3f} {y:.3f} " for metric, (x, y) in found.items()), flush=True)
