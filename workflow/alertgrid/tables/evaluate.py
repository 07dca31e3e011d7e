"""All figures of one cell at one fraction: every seed's predictions, reduced to groups and rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..comparison import Group, Interval, contrast, group, scale_of
from ..errors import StudyError
from ..metrics import METRICS, choose_threshold, influences, reliability, stratified, undefined_reason
from ..policies import FIGURES, Outcome, Policy, apply_policy, figure, magnitude_bins
from ..predictions import read_predictions
from .testset import Incomplete, Part, TestSet

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
    """One cell at one fraction: run folders by seed, or an external entrant's column of the catalogue."""

    cell: str
    fraction: float
    runs: Mapping[int, Path] = field(default_factory=dict)
    column: str = ""


@dataclass
class CellResult:
    """What remains of a cell at one fraction once its predictions are let go."""

    cell: str
    fraction: float
    groups: dict[str, Group] = field(default_factory=dict)
    metrics: list[Row] = field(default_factory=list)
    policies: list[Row] = field(default_factory=list)
    calibration: list[Row] = field(default_factory=list)
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
    fixed = bool(entrant.column)
    result.n_alerts, result.n_sources = len(tests.test.label), len(tests.classes)
    for metric in METRICS:
        values = [run.values[metric] for run in judged.values()]
        empty = np.zeros(len(tests.classes))
        rows = [run.influence.get(metric, empty) for run in judged.values()]
        result.groups[metric] = group(values, rows, tests.classes, support(metric, tests.classes), fixed)
    if all(np.isfinite(test).all() for _, test in scores.values()):
        result.policies = policy_rows(entrant, [test for _, test in scores.values()], tests, options, fixed)
    result.calibration = calibration_rows(entrant, [test for _, test in scores.values()], tests.test, options.bins)
    return result


def support(metric: str, classes: np.ndarray) -> int:
    """Number of test sources a metric rests on: of the class it is about, of the rarer one where it needs both."""
    positive, total = int(classes.sum()), len(classes)
    own = {"accuracy_1": positive, "recall": positive, "accuracy_0": total - positive}
    own |= dict.fromkeys(("accuracy", "brier", "ece"), total)
    return own.get(metric, min(positive, total - positive))


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
    split = frame["split"].to_numpy()
    return tuple(part.align(candid[split == name], score[split == name]) for name, part in _parts(tests))


def _parts(tests: TestSet) -> tuple[tuple[str, Part], ...]:
    """Names and alerts of the two splits with predictions."""
    return ("val", tests.val), ("test", tests.test)


@dataclass(frozen=True)
class _Judged:
    values: dict[str, float]
    influence: dict[str, np.ndarray]


def _judge(seed: int, pair, tests: TestSet, options: Options, result: CellResult) -> _Judged:
    """Metrics of one run on both splits; its test figures with their influences."""
    val, test = pair
    known = np.isfinite(val)
    threshold = choose_threshold(tests.val.label[known], val[known], options.threshold)
    for name, part, score in (("val", tests.val, val), ("test", tests.test, test)):
        whole = ("all",) if name == "val" else tuple(part.families)
        result.metrics += _metric_rows(result, seed, name, part, score, whole, threshold, options.bins)
    part, scored = tests.test, np.isfinite(test)
    values, rows = influences(
        part.label[scored], test[scored], part.source[scored], len(tests.classes), threshold, options.bins
    )
    return _Judged(values, rows)


def _metric_rows(
    result: CellResult,
    seed: int,
    split: str,
    part: Part,
    score: np.ndarray,
    whole: Sequence[str],
    threshold: float,
    bins: int,
) -> list[Row]:
    """Rows of metrics.csv of one run and split."""
    scored = np.isfinite(score)
    families = {name: (part.families[name][0][scored], part.families[name][1]) for name in whole}
    table = stratified(part.label[scored], score[scored], families, threshold, bins)
    rows = []
    for stratum, values in table.items():
        alerts, sources, positive = part.counts[stratum]
        for metric, value in values.items():
            reason = "" if np.isfinite(value) else undefined_reason(metric, alerts, positive)
            key = (result.cell, result.fraction, seed, split, stratum, metric)
            rows.append((*key, value, alerts, sources, positive, threshold, reason))
    return rows


def policy_rows(
    entrant: Entrant, scores: Sequence[np.ndarray], tests: TestSet, options: Options, fixed: bool
) -> list[Row]:
    """Rows of policies.csv of one cell and fraction."""
    alerts = tests.test.timeline
    bins = magnitude_bins(alerts, np.asarray(options.policy_edges, float))
    members = [("all", np.ones(len(tests.classes), bool)), *bins]
    rows = []
    for policy in options.policies:
        outcomes = [apply_policy(alerts, score, policy) for score in scores]
        for stratum, member in members:
            parts = [Outcome(*(values[member] for values in vars(outcome).values())) for outcome in outcomes]
            counted = int(parts[0].counts.sum())
            for name in FIGURES:
                found = _policy_interval(parts, name, tests.classes[member], options.level, fixed)
                key = (entrant.cell, entrant.fraction, policy.name, stratum, name)
                rows.append((*key, found.estimate, found.low, found.high, counted, found.n_seeds, found.method))
    return rows


def _policy_interval(parts: Sequence[Outcome], name: str, classes: np.ndarray, level: float, fixed: bool) -> Interval:
    """Mean over seeds of a policy's figure, with its interval."""
    values, rows, supports = zip(*(figure(part, name) for part in parts), strict=True)
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
