"""Tables -> figures: every one as PDF and PNG in one style, with captions that state n.

`write_figures` needs the report's tables and catalogue.h5 only; `contact_sheet` and `example_gallery` open the stamps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from . import calibration, curves, dataset, differences, efficiency, encoders, performance, policies, strata, timing
from .gallery import contact_sheet, example_gallery
from .words import PRIMARY
from .writing import Plan, write_captions, write_drawings, write_plan

__all__ = ["contact_sheet", "example_gallery", "plan_figures", "read_tables", "write_figures"]

AXES = ("architecture", "pretraining", "inputs", "stamps", "labels")

# Section of the page, name in the list of what was left out, function.
FROM_TABLES = (
    ("performance", "performance", performance.performance),
    ("performance", "differences", differences.differences),
    ("performance", "strata", strata.strata),
    ("performance", "magnitude_scores", strata.magnitude_scores),
    ("performance", "policy_overall", policies.policy_overall),
    ("performance", "policy_magnitude", policies.policy_magnitude),
    ("efficiency", "efficiency", efficiency.efficiency),
    ("efficiency", "multiplier", efficiency.multiplier),
    ("timing", "accuracy_cost", timing.accuracy_cost),
    ("timing", "throughput", timing.throughput),
    ("calibration", "calibration", calibration.reliability),
    ("calibration", "score_distributions", calibration.score_distributions),
    ("training", "encoders", encoders.encoders),
    ("training", "curves", curves.curves),
)


def read_tables(folder: str | Path, skip: Collection[str] = ("metrics",)) -> dict[str, pd.DataFrame]:
    """Read the CSVs of a folder but those in `skip`, name -> table; files without a header count as absent."""
    tables = {}
    for path in sorted(Path(folder).glob("*.csv")):
        if path.stem in skip:
            continue
        try:
            # The word "none" is a name here (no pre-training), so only these mean that a value is missing.
            frame = pd.read_csv(path, low_memory=False, keep_default_na=False, na_values=["", "nan", "NaN"])
        except pd.errors.EmptyDataError:
            continue
        texts = [column for column in AXES if column in frame]
        tables[path.stem] = frame.assign(**{column: frame[column].fillna("").astype(str) for column in texts})
    return tables


def write_figures(
    tables: str | Path,
    output: str | Path,
    *,
    catalogue: str | Path | None = None,
    metrics: Sequence[str] = PRIMARY,
    workers: int = 1,
) -> dict:
    """Write all figures of the report that do not need stamps.

    Parameters
    ----------
    tables : path
        Folder of the report's CSV tables. Missing or empty ones are no error: their figures are left out.
    output : path
        Folder for the figures and captions.json.
    catalogue : path or None
        catalogue.h5, for the figures of the dataset.
    metrics : sequence of str
        Metrics of the forest plots; the first orders the cells and is the one set against cost.
    workers : int
        Processes.

    Returns
    -------
    dict
        Content of captions.json: "figures" by name, and "skipped" with the reason of each figure left out.
    """
    if workers <= 1:
        return write_drawings(output, _prepared(tables, catalogue, metrics))
    # Spawned, not forked: a fork of a process with threads (BLAS) may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (tables, catalogue, metrics)) as pool:
        count = len(plan_figures({}, None))
        # The last plans first: curves are the most work, and begun late they would keep one process busy alone.
        jobs = [pool.submit(_write_prepared, output, number) for number in reversed(range(count))]
        return write_captions(output, [job.result() for job in reversed(jobs)])


_PLANS: list[Plan] = []


def _prepare(*inputs: Any) -> None:
    """Read the tables in a worker process, once."""
    _PLANS[:] = _prepared(*inputs)


def _prepared(tables: str | Path, catalogue: str | Path | None, metrics: Sequence[str]) -> list[Plan]:
    """Every figure of the report, ready to be drawn."""
    return plan_figures(read_tables(tables), dataset.load_catalogue(catalogue), metrics)


def _write_prepared(output: str | Path, number: int) -> dict:
    """Draw one plan in a worker process."""
    return write_plan(output, _PLANS[number])


def plan_figures(
    frames: Mapping[str, pd.DataFrame], known: pd.DataFrame | None, metrics: Sequence[str] = PRIMARY
) -> list[Plan]:
    """List every figure in the order of the page: section, name, and the function that draws it."""
    plans: list[Plan] = [(section, name, partial(draw, frames, metrics)) for section, name, draw in FROM_TABLES]
    plans.append(("dataset", "dataset_counts", partial(dataset.counts, known)))
    plans.append(("dataset", "dataset_magnitudes", partial(dataset.magnitudes, known)))
    plans.append(("dataset", "dataset_missing", partial(dataset.missing_values, frames, known)))
    return plans
