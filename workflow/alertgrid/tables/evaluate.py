"""All figures of one cell at one fraction: every seed's predictions, reduced to groups and rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..calibration import reliability
from ..comparison import Group, Interval, contrast, group
from ..errors import StudyError
from ..medians import MeanOfMedians, mean_of_medians
from ..metrics import METRICS, choose_threshold, influences, stratified, undefined_reason
from ..policies import Figure, Policy, apply_policy, delays, figures, magnitude_bins
from ..predictions import read_predictions
from ..ranking import Ranking
from ..scales import scale_of
from .strata import Seeds, score_rows, strata_rows, support
from .testset import Families, Incomplete, Part, TestSet, count_strata

Row = tuple


@dataclass(frozen=True)
class Options:
    """Choices of the report that reach every run (see `write_tables`)."""

    policies: Sequence[Policy]
    threshold: float | str
    policy_edges: Sequence[float]
    bins: int
    level: float


@dataclass(frozen=True)
class Entrant:
    """One cell at one fraction: run folders by seed; or an external entrant: its column of the catalogue or folder.

    `fixed` says that no seed was drawn, so that intervals stand on the test sources alone; `by_stratum`, that strata
    get intervals too (of a cell, the largest fraction alone).
    """

    cell: str
    fraction: float
    runs: Mapping[int, Path] = field(default_factory=dict)
    column: str = ""
    fixed: bool = False
    by_stratum: bool = True


@dataclass
class CellResult:
    """What remains of a cell at one fraction once its predictions are let go."""

    cell: str
    fraction: float
    groups: dict[str, Group] = field(default_factory=dict)
    metrics: list[Row] = field(default_factory=list)
    policies: list[Row] = field(default_factory=list)
    calibration: list[Row] = field(default_factory=list)
    strata: list[Row] = field(default_factory=list)
    magnitude_scores: list[Row] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    n_alerts: int = 0
    n_sources: int = 0


def evaluate(entrant: Entrant, tests: TestSet, options: Options) -> CellResult:
    """Judge every seed of a cell; seeds that cannot be read are named in `problems` and left out."""
    result = CellResult(entrant.cell, entrant.fraction)
    scores = dict(_scores(entrant, tests, result))
    judged = {seed: _judge(seed, pair, tests, options, result) for seed, pair in scores.items()}
    if not judged:
        return result
    scored = np.isfinite(next(iter(scores.values()))[1])
    result.n_alerts, result.n_sources = int(scored.sum()), len(np.unique(tests.test.source[scored]))
    if not scored.all():
        reason = f"no score for {(~scored).sum()} of {len(scored)} test alerts: judged on the others, not compared"
        result.problems.append((entrant.cell, reason))
    result.groups = _groups(judged, _judged_classes(tests, scored), entrant.fixed)
    if scored.all():
        result.policies = policy_rows(entrant, [test for _, test in scores.values()], tests, options)
    result.calibration = calibration_rows(entrant, [test for _, test in scores.values()], tests.test, options.bins)
    if entrant.by_stratum:
        seeds = Seeds([test for _, test in scores.values()], [run.threshold for run in judged.values()], entrant.fixed)
        key = (entrant.cell, entrant.fraction)
        result.strata = strata_rows(key, seeds, tests, options.bins, options.level)
        result.magnitude_scores = score_rows(key, seeds, tests)
    return result


def _judged_classes(tests: TestSet, scored: np.ndarray) -> np.ndarray:
    """Label of each test source; -1 where none of its alerts has a score."""
    known = np.bincount(tests.test.source[scored], minlength=len(tests.classes)) > 0
    return np.where(known, tests.classes, -1)


def _groups(judged: Mapping[int, _Judged], classes: np.ndarray, fixed: bool) -> dict[str, Group]:
    """A group of every metric."""
    known, empty = classes[classes >= 0] > 0, np.full(len(classes), np.nan)
    found = {}
    for metric in METRICS:
        values = [run.values[metric] for run in judged.values()]
        rows = [run.influence.get(metric, empty) for run in judged.values()]
        found[metric] = group(values, rows, classes, support(metric, known), fixed, tuple(judged))
    return found


def _scores(entrant: Entrant, tests: TestSet, result: CellResult):
    """Yield (seed, (validation scores, test scores)) of every usable run."""
    if entrant.column:
        yield 0, (tests.external_val[entrant.column], tests.external[entrant.column])
        return
    for seed, folder in entrant.runs.items():
        try:
            yield seed, _run_scores(folder, tests)
        except (StudyError, Incomplete, OSError) as error:
            reason = error.problem if isinstance(error, StudyError) else str(error)
            result.problems.append((f"{entrant.cell}/f{entrant.fraction:g}/s{seed}", f"predictions.h5: {reason}"))


def _run_scores(folder: Path, tests: TestSet) -> tuple[np.ndarray, np.ndarray]:
    """Validation and test scores of a run in the order of the catalogue."""
    path = folder / "predictions.h5"
    if not path.is_file():
        raise Incomplete("there is no such file: the run has not finished")
    frame = read_predictions(path)
    candid, score = frame["candid"].to_numpy(), frame["score"].to_numpy(float)
    rows = {name: (frame["split"] == name).to_numpy() for name, _ in _parts(tests)}
    return tuple(part.align(candid[rows[name]], score[rows[name]]) for name, part in _parts(tests))


def _parts(tests: TestSet) -> tuple[tuple[str, Part], ...]:
    """Names and alerts of the two splits with predictions."""
    return ("val", tests.val), ("test", tests.test)


@dataclass(frozen=True)
class _Judged:
    values: dict[str, float]
    influence: dict[str, np.ndarray]
    threshold: float


def _judge(seed: int, pair, tests: TestSet, options: Options, result: CellResult) -> _Judged:
    """Metrics of one run on both splits; its test figures with their influences."""
    val, test = pair
    known = np.isfinite(val)
    threshold = choose_threshold(tests.val.label[known], val[known], options.threshold)
    _metric_rows(result, (seed, "val"), _scored(tests.val, val, ("all",)), (threshold, options.bins))
    scored = _scored(tests.test, test, tuple(tests.test.families))
    _metric_rows(result, (seed, "test"), scored, (threshold, options.bins))
    size = len(tests.classes)
    values, rows = influences(scored.label, scored.score, scored.source, size, threshold, options.bins, scored.ranking)
    return _Judged(values, rows, threshold)


@dataclass(frozen=True)
class _Scored:
    """Alerts of one split that have a score, sorted once, and how many each stratum has."""

    label: np.ndarray
    score: np.ndarray
    source: np.ndarray
    families: Families
    counts: dict[str, tuple[int, int, int]]
    ranking: Ranking


def _scored(part: Part, score: np.ndarray, families: Sequence[str]) -> _Scored:
    """The alerts with a score, their strata, and their order."""
    keep = np.isfinite(score)
    kept = {name: (part.families[name][0][keep], part.families[name][1]) for name in families}
    label, source = part.label[keep], part.source[keep]
    counts = part.counts if keep.all() else count_strata(kept, source, label)
    return _Scored(label, score[keep], source, kept, counts, Ranking.of(label, score[keep]))


def _metric_rows(result: CellResult, run: tuple[int, str], scored: _Scored, rule: tuple[float, int]) -> None:
    """Add the rows of metrics.csv of one run (seed and split), judged by a threshold and bins of calibration."""
    table = stratified(scored.label, scored.score, scored.source, scored.families, *rule, scored.ranking)
    for stratum, values in table.items():
        alerts, sources, positive = scored.counts[stratum]
        for metric, value in values.items():
            reason = "" if np.isfinite(value) else undefined_reason(metric, alerts, positive)
            key = (result.cell, result.fraction, *run, stratum, metric)
            result.metrics.append((*key, value, alerts, sources, positive, rule[0], reason))


def policy_rows(entrant: Entrant, scores: Sequence[np.ndarray], tests: TestSet, options: Options) -> list[Row]:
    """Rows of policies.csv of one cell and fraction."""
    alerts = tests.test.timeline
    strata = [("all", np.arange(len(tests.classes))), *magnitude_bins(alerts, options.policy_edges)]
    members = [sources[alerts.eligible[sources]] for _, sources in strata]
    rows = []
    for policy in options.policies:
        outcomes = [apply_policy(alerts, score, policy) for score in scores]
        found = [figures(outcome, members) for outcome in outcomes]
        waited = [delays(outcome, members) for outcome in outcomes]
        for position, ((stratum, _), sources) in enumerate(zip(strata, members, strict=True)):
            key, judged = (entrant.cell, entrant.fraction, policy.name, stratum), (options.level, entrant.fixed)
            for name in found[0]:
                parts = [run[name][position] for run in found]
                interval = _policy_interval(parts, name, tests.classes[sources], *judged)
                rows.append(_policy_row((*key, name), interval, options.level, len(sources)))
            for name in waited[0]:
                median = mean_of_medians([run[name][position] for run in waited], *judged)
                rows.append(_policy_row((*key, name), median, options.level, median.support))
    return rows


def _policy_row(key: Row, found: Interval | MeanOfMedians, level: float, n_sources: int) -> Row:
    """A row of policies.csv in the order of its columns."""
    return (*key, found.estimate, found.low, found.high, level, n_sources, found.n_seeds, found.method)


def _policy_interval(parts: Sequence[Figure], name: str, classes: np.ndarray, level: float, fixed: bool) -> Interval:
    """Mean over seeds of a policy's figure, with its interval."""
    values, rows, supports = zip(*parts, strict=True)
    return contrast([(1.0, group(values, rows, classes, min(supports), fixed))], level, scale_of(name))


def calibration_rows(entrant: Entrant, scores: Sequence[np.ndarray], part: Part, bins: int) -> list[Row]:
    """Rows of calibration.csv: the reliability curve of all seeds together."""
    curves = [reliability(part.label[np.isfinite(score)], score[np.isfinite(score)], bins) for score in scores]
    total = sum(curve.count for curve in curves)
    score, positive = sum(curve.score for curve in curves), sum(curve.positive for curve in curves)
    filled = np.flatnonzero(total)
    key = (entrant.cell, entrant.fraction)
    return [
        (*key, i / bins, (i + 1) / bins, score[i] / total[i], positive[i] / total[i], int(total[i])) for i in filled
    ]
