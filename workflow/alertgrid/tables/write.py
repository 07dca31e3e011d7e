"""Results in, tables out: the one entry of the report's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..claims import Rules, claims_table
from ..dataset import read_catalogue
from ..errors import StudyError
from ..files import write_csv
from ..multiplier import Bootstrap
from ..policies import BTSBOT_POLICIES, Policy
from ..progress import Progress
from . import data, records
from .dictionary import SCHEMAS, data_dictionary, ordered
from .evaluate import CellResult, Entrant, Options, evaluate
from .gather import Study, cells_of, differences, efficiency, multipliers, performance
from .latex import write_latex
from .testset import TestSet, build_testset

MAGNITUDE_EDGES = tuple(np.arange(16.0, 21.01, 0.25))
POLICY_EDGES = tuple(np.arange(17.0, 18.51, 0.25))
COMPARED = ("roc_auc", "average_precision", "f1")
RISING = ("brier", "ece")  # metrics that are worse when they are greater


def write_tables(
    *,
    catalogue: str | Path,
    grid: str | Path,
    runs: str | Path,
    output: str | Path,
    dataset: str | Path | None = None,
    refused: str | Path | None = None,
    timing: Sequence[str | Path] = (),
    encoders: Sequence[str | Path] = (),
    external: Sequence[str] = (),
    baseline: str = "btsbot_cnn",
    level: float = 0.95,
    power: float = 0.8,
    replicates: int = 1000,
    seed: int = 0,
    threshold: float | str = 0.5,
    policies: Iterable[Mapping[str, Any]] = (),
    compared: Sequence[str] = COMPARED,
    magnitude_edges: Sequence[float] = MAGNITUDE_EDGES,
    policy_edges: Sequence[float] = POLICY_EDGES,
    calibration_bins: int = 15,
    claims: Mapping[str, Any] | None = None,
    workers: int = 1,
) -> dict[str, pd.DataFrame]:
    """Judge every run of a study and write all tables of its report.

    Missing or damaged runs, timings and encoders are named in missing.csv and never stop the report.

    Parameters
    ----------
    catalogue, grid, runs : path
        catalogue.h5, grid.csv and the folder that holds the runs.
    output : path
        Folder of the tables; `latex/` below it holds the main ones for a paper.
    dataset, refused : path, optional
        dataset.h5 (for missing metadata) and refused.csv.
    timing, encoders : sequences of paths
        CSV files of `timing` and of the encoders' own scores (columns of encoders.csv).
    external : sequence of str
        Catalogue columns with scores in [0, 1] of other classifiers; NaN where one has no score.
    baseline : str
        Architecture that others are compared with.
    level, power : float
        Coverage of intervals; power of the smallest detectable difference.
    replicates, seed : int
        Of the bootstrap of objects that the data multiplier uses.
    threshold : float or str
        Score above which an alert is positive; a metric's name chooses it on validation alerts, per run.
    policies : iterable of mappings
        Further policies: name, alerts, score, magnitude, brightest.
    compared : sequence of str
        Metrics of the differences and multipliers.
    magnitude_edges, policy_edges : sequences of float
        Bin edges in mag: of alerts by magpsf, of sources by their brightest alert.
    calibration_bins : int
    claims : mapping, optional
        Fields of `claims.Rules`.
    workers : int
        Processes.

    Returns
    -------
    dict of table name to DataFrame, as written.

    Raises
    ------
    StudyError
        The catalogue or the grid cannot be used, or a setting is impossible.
    """
    rows, table = read_catalogue(catalogue), read_grid(grid)
    rules = Rules.of({"baseline": baseline, "level": level, **(claims or {})})
    chosen = (*BTSBOT_POLICIES, *(Policy(**policy) for policy in policies))
    options = Options(chosen, threshold, policy_edges, calibration_bins, level)
    tests = build_testset(rows, magnitude_edges, external)
    run_records, history, problems = records.read_records(table, Path(runs))
    results = evaluate_all(_entrants(table, Path(runs), external), tests, options, workers)
    usable = {(result.cell, result.fraction): result for result in results if result.groups}
    study = Study(cells_of(table, external), usable, _sizes(run_records), level, power)
    tables = _judged_tables(results)
    timings, more = _concatenate(timing, "timing")
    encoder_scores, others = _concatenate(encoders, "encoders")
    gone = [problem for result in results for problem in result.problems]
    tables |= _compared_tables(
        study, baseline, compared, timings, rules, Bootstrap(len(tests.classes), replicates, seed)
    )
    tables |= {
        "runs": run_records,
        "history": history,
        "training_cost": records.training_cost(run_records),
        "dataset_counts": data.counts(rows),
        "dataset_missing": data.missing_values(rows, dataset),
        "dataset_magnitudes": data.magnitudes(rows, magnitude_edges),
        "dataset_refused": data.refusals(refused),
        "missing": _joined(problems + gone + more + others),
        "timing": timings,
        "encoders": encoder_scores,
    }
    return _write(tables, Path(output))


def _joined(problems: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """One row per run or input with all that is wrong with it."""
    table = pd.DataFrame(problems, columns=["run", "reason"])
    return table.groupby("run", sort=False)["reason"].agg("; ".join).reset_index()


def read_grid(path: str | Path) -> pd.DataFrame:
    """Read grid.csv.

    Raises
    ------
    StudyError
        The file is missing or lacks a column.
    """
    try:
        grid = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise StudyError(str(path), f"cannot be read ({error})", "the study's grid", "start the study again") from None
    needed = ("run", "cell", "architecture", "pretraining", "inputs", "stamps", "labels", "fraction", "seed")
    absent = [name for name in needed if name not in grid]
    if absent:
        raise StudyError(str(path), f"no column {absent[0]}", f"columns {', '.join(needed)}", "start the study again")
    return grid.astype({"fraction": float, "seed": int})


def _entrants(grid: pd.DataFrame, runs: Path, external: Sequence[str]) -> list[Entrant]:
    """Cells at each fraction, then the external entrants."""
    found = []
    for (cell, fraction), part in grid.groupby(["cell", "fraction"], sort=False):
        folders = {int(seed): runs / run for seed, run in zip(part["seed"], part["run"], strict=True)}
        found.append(Entrant(cell, float(fraction), folders))
    return found + [Entrant(name, 1.0, column=name) for name in external]


_TESTS: TestSet | None = None


def _keep(tests: TestSet) -> None:
    """Hold the test set in a worker process, so that it travels once."""
    global _TESTS
    _TESTS = tests


def _evaluate_kept(entrant: Entrant, options: Options) -> CellResult:
    """`evaluate` in a worker process."""
    return evaluate(entrant, _TESTS, options)


def evaluate_all(entrants: Sequence[Entrant], tests: TestSet, options: Options, workers: int) -> list[CellResult]:
    """Judge all entrants, in `workers` processes when there is more than one."""
    progress = Progress(len(entrants), "report", "cells")
    results = []

    def collect(found: Iterable[CellResult]) -> list[CellResult]:
        for result in found:
            results.append(result)
            progress.step()
        return results

    if workers <= 1:
        return collect(evaluate(entrant, tests, options) for entrant in entrants)
    # Spawned, not forked: a fork of a process with threads (torch, BLAS) may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _keep, (tests,)) as pool:
        return collect(pool.map(partial(_evaluate_kept, options=options), entrants))


def _sizes(run_records: pd.DataFrame) -> dict[tuple[str, float], tuple[float, float]]:
    """Mean training sources and alerts per cell and fraction."""
    names = ["n_train_sources", "n_train_alerts"]
    if not len(run_records) or not set(names) <= set(run_records):
        return {}
    numbers = run_records[names].apply(pd.to_numeric, errors="coerce")
    means = numbers.groupby([run_records["cell"], run_records["fraction"].astype(float)]).mean()
    return {key: tuple(row) for key, row in zip(means.index, means.to_numpy(), strict=True)}


def _judged_tables(results: Sequence[CellResult]) -> dict[str, pd.DataFrame]:
    """metrics, policies and calibration of all entrants."""
    return {
        name: pd.DataFrame([row for result in results for row in getattr(result, name)], columns=list(SCHEMAS[name]))
        for name in ("metrics", "policies", "calibration")
    }


def _compared_tables(
    study: Study, baseline: str, compared: Sequence[str], timings: pd.DataFrame, rules: Rules, bootstrap: Bootstrap
) -> dict[str, pd.DataFrame]:
    """Tables with intervals and comparisons."""
    table = performance(study)
    multiplier = multipliers(study, [metric for metric in compared if metric not in RISING], bootstrap)
    return {
        "performance": table,
        "efficiency": efficiency(study, table) if len(table) else table,
        "differences": differences(study, baseline, compared),
        "multiplier": multiplier,
        "claims": claims_table(study, timings, multiplier, rules),
    }


def _concatenate(paths: Sequence[str | Path], name: str) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Join CSV files of the same columns; those that cannot be read are problems."""
    frames, problems = [], []
    for path in paths:
        try:
            frame = pd.read_csv(path)
            absent = [column for column in SCHEMAS[name] if column not in frame]
            if absent:
                raise ValueError(f"no column {absent[0]}")
            frames.append(frame)
        except (OSError, ValueError) as error:
            problems.append((f"{name}: {Path(path).name}", f"cannot be read ({str(error).splitlines()[0]})"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(SCHEMAS[name])), problems


def _write(tables: dict[str, pd.DataFrame], output: Path) -> dict[str, pd.DataFrame]:
    """Write every table with its dictionary, and the main ones as LaTeX."""
    tables = {name: ordered(name, frame) for name, frame in tables.items()}
    tables["data_dictionary"] = data_dictionary(tables)
    for name, frame in tables.items():
        write_csv(output / f"{name}.csv", frame)
    write_latex(tables, output / "latex")
    return tables
