"""Results in, tables out: the one entry of the report's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from ..claims.table import claims_table
from ..dataset import read_catalogue
from ..errors import StudyError
from ..files import write_csv
from ..metrics import LOWER_IS_BETTER
from ..progress import Progress
from . import costs, data, records
from .dictionary import SCHEMAS, data_dictionary, ordered
from .evaluate import CellResult, Entrant, Options, evaluate
from .gather import Study, cells_of, differences, efficiency, multipliers, performance
from .latex import write_latex
from .settings import ReportSettings
from .testset import TestSet, build_testset

WORTH_PROCESSES = 1_000_000  # entrants times alerts; less is judged before a second process has started


def write_tables(
    *,
    catalogue: str | Path,
    grid: str | Path,
    runs: str | Path,
    output: str | Path,
    dataset: str | Path | None = None,
    refused: str | Path | None = None,
    timing: Sequence[str | Path] = (),
    machines: Sequence[str | Path] = (),
    encoders: Sequence[str | Path] = (),
    entrants: Sequence[str | Path] = (),
    **settings: Any,
) -> dict[str, pd.DataFrame]:
    """Judge every run of a study and write all tables of its report.

    Missing or damaged runs, timings and encoders are named in missing.csv and never stop the report.

    Parameters
    ----------
    catalogue, grid, runs, output : path
        catalogue.h5, grid.csv, the folder that holds the runs, and the folder of the tables (LaTeX in `latex/` below).
    dataset, refused : path, optional
        dataset.h5 (for missing metadata) and refused.csv.
    timing, machines, encoders : sequences of paths
        CSV and JSON files of `timing`, and scores.csv of the encoder folders that the study trained (history.csv and
        manifest.json lie beside).
    entrants : sequence of paths
        predictions.h5 of published models, in folders named as the entrants are, with run.json beside it.
    **settings
        Fields of `ReportSettings`.

    Returns
    -------
    dict of table name to DataFrame, as written.

    Raises
    ------
    StudyError
        The catalogue, the grid or a setting cannot be used.
    """
    chosen = ReportSettings.of(settings)
    rows, table = read_catalogue(catalogue), read_grid(grid)
    tables, problems = judge(rows, table, Path(runs), chosen, timing, entrants)
    published, unread = read_all(entrants, "entrants", records.read_entrant)
    pretrained, lost = _pretrained(encoders, tables["runs"])
    tables |= data.tables_of(rows, dataset, refused, chosen.magnitude_edges) | pretrained | {"entrants": published}
    timed_on, unknown = read_all(machines, "machines", records.read_machines)
    tables["missing"] = records.missing_table(problems + lost + unread + unknown, table, Path(grid).parent)
    return _write(tables | {"machines": timed_on}, Path(output))


def _pretrained(
    scores: Sequence[str | Path], runs: pd.DataFrame
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str]]]:
    """Scores and curves of the encoders, and what they cost beside the runs; what was missing of them."""
    found, problems = read_all(scores, "encoders", read_scores)
    curves, lost = read_all([Path(path).with_name("history.csv") for path in scores], "encoder_history", read_curve)
    pretrainings, unknown = costs.read_pretrainings(scores)
    tables = {"encoders": found, "encoder_history": curves, "training_cost": costs.training_cost(runs, pretrainings)}
    return tables, problems + lost + unknown


def judge(
    rows: pd.DataFrame,
    grid: pd.DataFrame,
    runs: Path,
    settings: ReportSettings,
    timing: Sequence[str | Path] = (),
    entrants: Sequence[str | Path] = (),
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str]]]:
    """Tables that come from the runs and timings, and what was missing of them as (run, reason)."""
    tests = build_testset(rows, settings.magnitude_edges, settings.external)
    run_records, history, problems = records.read_records(grid, runs)
    others = external_entrants(settings.external, entrants)
    results = evaluate_all([*entrants_of(grid, runs), *others], tests, settings.options(), settings.workers)
    usable = {(result.cell, result.fraction): result for result in results if result.groups}
    cells = cells_of(grid, [entrant.cell for entrant in others])
    study = Study(cells, usable, records.training_sizes(run_records), settings.level, settings.power)
    timings, unread = read_all(timing, "timing")
    tables = _judged_tables(results) | _compared_tables(study, settings, timings)
    tables |= {"runs": run_records, "history": history, "timing": timings}
    gone = [problem for result in results for problem in result.problems]
    return tables, problems + gone + unread


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


def entrants_of(grid: pd.DataFrame, runs: Path) -> list[Entrant]:
    """Cells of the grid at each fraction."""
    found, largest = [], grid.groupby("cell")["fraction"].max()
    for (cell, fraction), part in grid.groupby(["cell", "fraction"], sort=False):
        folders = {int(seed): runs / run for seed, run in zip(part["seed"], part["run"], strict=True)}
        found.append(Entrant(cell, float(fraction), folders, by_stratum=float(fraction) == largest[cell]))
    return found


def external_entrants(columns: Sequence[str], predictions: Sequence[str | Path]) -> list[Entrant]:
    """External entrants: scores in the catalogue, then published models that were run on its rows.

    Raises
    ------
    StudyError
        Two have the same name.
    """
    folders = [Path(path).parent for path in predictions]
    for folder in folders:
        if folder.name in columns:
            raise StudyError("entrants", f"{folder.name!r} is in report.external too", "one of them", "rename it")
    found = [Entrant(name, 1.0, column=name, fixed=True) for name in columns]
    return found + [Entrant(folder.name, 1.0, {0: folder}, fixed=True) for folder in folders]


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

    if workers <= 1 or len(entrants) * len(tests.test.label) < WORTH_PROCESSES:
        return collect(evaluate(entrant, tests, options) for entrant in entrants)
    # Spawned, not forked: a fork of a process with threads (torch, BLAS) may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _keep, (tests,)) as pool:
        return collect(pool.map(partial(_evaluate_kept, options=options), entrants))


def _judged_tables(results: Sequence[CellResult]) -> dict[str, pd.DataFrame]:
    """Tables that need no comparison between entrants."""
    return {
        name: pd.DataFrame([row for result in results for row in getattr(result, name)], columns=list(SCHEMAS[name]))
        for name in ("metrics", "policies", "calibration", "strata", "magnitude_scores")
    }


def _compared_tables(study: Study, settings: ReportSettings, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables with intervals and comparisons."""
    table = performance(study)
    multiplier = multipliers(study, [metric for metric in settings.compared if metric not in LOWER_IS_BETTER])
    return {
        "performance": table,
        "efficiency": efficiency(study, table) if len(table) else table,
        "differences": differences(study, settings.baseline, settings.compared),
        "multiplier": multiplier,
        "claims": claims_table(study, timings, multiplier, settings.rules()),
    }


def read_scores(path: str | Path) -> pd.DataFrame:
    """Scores of a pre-training (target, metric, value) in an encoder folder named {architecture}-{pretraining}."""
    scores = pd.read_csv(path)
    if not {"target", "metric", "value"} <= set(scores):
        raise ValueError("no columns target, metric and value")
    return scores.assign(**_encoder(path), metric=scores["metric"] + " of " + scores["target"])


def read_curve(path: str | Path) -> pd.DataFrame:
    """One row per epoch of a pre-training, in an encoder folder as for `read_scores`."""
    history = pd.read_csv(path).rename(columns={"alerts_per_second": "images_per_second"})
    return history.assign(**_encoder(path))


def _encoder(path: str | Path) -> dict[str, str]:
    """Names of the encoder in whose folder a file lies."""
    name = Path(path).parent.name
    return {"encoder": name, **dict(zip(("architecture", "pretraining"), name.split("-", 1), strict=False))}


def read_all(
    paths: Sequence[str | Path], name: str, read: Callable[[str | Path], pd.DataFrame] = pd.read_csv
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Join CSV files of the same columns; those that cannot be read are problems."""
    frames, problems = [], []
    for path in paths:
        try:
            frame = read(path)
            absent = [column for column in SCHEMAS[name] if column not in frame]
            if absent:
                raise ValueError(f"no column {absent[0]}")
            frames.append(frame)
        except (OSError, ValueError) as error:
            shown = Path(*Path(path).parts[-1 if name == "timing" else -2 :])  # one file name in folders of their own
            problems.append((f"{name}: {shown}", f"cannot be read ({str(error).splitlines()[0]})"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(SCHEMAS[name])), problems


def _write(tables: dict[str, pd.DataFrame], output: Path) -> dict[str, pd.DataFrame]:
    """Write every table with its dictionary, and the main ones as LaTeX."""
    tables = {name: ordered(name, frame) for name, frame in tables.items()}
    tables["data_dictionary"] = data_dictionary(tables)
    for name, frame in tables.items():
        write_csv(output / f"{name}.csv", frame)
    write_latex(tables, output / "latex")
    return tables
