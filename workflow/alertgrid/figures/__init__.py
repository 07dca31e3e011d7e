"""Tables -> figures: every one as PDF and PNG in one style, with captions that state n.

`write_figures` needs the report's tables and catalogue.h5 only; `contact_sheet` and `example_gallery` open the stamps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from . import calibration, curves, dataset, efficiency, performance, policies, timing
from .gallery import contact_sheet, example_gallery
from .words import PRIMARY
from .writing import Plan, write_drawings

__all__ = ["contact_sheet", "example_gallery", "plan_figures", "read_tables", "write_figures"]

AXES = ("architecture", "pretraining", "inputs", "stamps", "labels")

# Section of the page, name in the list of what was left out, function.
FROM_TABLES = (
    ("performance", "performance", performance.performance),
    ("performance", "differences", performance.differences),
    ("performance", "policy_overall", policies.policy_overall),
    ("performance", "policy_magnitude", policies.policy_magnitude),
    ("efficiency", "efficiency", efficiency.efficiency),
    ("efficiency", "multiplier", efficiency.multiplier),
    ("timing", "accuracy_cost", timing.accuracy_cost),
    ("timing", "throughput", timing.throughput),
    ("calibration", "calibration", calibration.reliability),
    ("calibration", "score_distributions", calibration.score_distributions),
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
    tables: str | Path, output: str | Path, *, catalogue: str | Path | None = None, metrics: Sequence[str] = PRIMARY
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

    Returns
    -------
    dict
        Content of captions.json: "figures" by name, and "skipped" with the reason of each figure left out.
    """
    return write_drawings(output, plan_figures(read_tables(tables), dataset.load_catalogue(catalogue), metrics))


def plan_figures(
    frames: Mapping[str, pd.DataFrame], known: pd.DataFrame | None, metrics: Sequence[str] = PRIMARY
) -> list[Plan]:
    """List every figure in the order of the page: section, name, and the function that draws it."""
    plans: list[Plan] = [(section, name, partial(draw, frames, metrics)) for section, name, draw in FROM_TABLES]
    plans.append(("dataset", "dataset_counts", partial(dataset.counts, known)))
    plans.append(("dataset", "dataset_magnitudes", partial(dataset.magnitudes, known)))
    plans.append(("dataset", "dataset_missing", partial(dataset.missing_values, frames, known)))
    return plans
