"""The generated study of benchmarks/report_scale.py at a small size, for the tests of the report's tables."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from alertgrid.predictions import write_predictions
from loading import load_script

OPTIONS = {
    "external": ["other_score"],
    "policies": [{"name": "keen", "alerts": 1, "score": 0.2}],
    "threshold": "f1",
}


def load_generator() -> ModuleType:
    """The benchmark as a module."""
    return load_script("benchmarks/report_scale.py")


def make_study(folder: Path) -> Path:
    """A study of 11 cells, 2 fractions, 2 seeds on 900 test alerts."""
    load_generator().study(folder, Namespace(cells=11, fractions=2, seeds=2, alerts=900, per_source=9))
    return folder


def inputs(folder: Path) -> dict[str, Path]:
    """Arguments of `write_tables` that name the study's files."""
    return {"catalogue": folder / "catalogue.h5", "grid": folder / "grid.csv", "runs": folder / "runs"}


def enter(folder: Path, name: str, scores: np.ndarray, catalogue: pd.DataFrame) -> Path:
    """Predictions and record of a published model, as the workflow leaves them."""
    rows = catalogue["split"].isin(["val", "test"])
    columns = (catalogue.loc[rows, key].to_numpy() for key in ("candid", "split"))
    write_predictions(folder / "entrants" / name / "predictions.h5", *columns, scores[rows.to_numpy()], {"cell": name})
    record = {"cell": name, "origin": "hub:a/b", "n_alerts": int(rows.sum()), "wall_seconds": 2.0, "device": "cpu"}
    (folder / "entrants" / name / "run.json").write_text(json.dumps(record))
    return folder / "entrants" / name / "predictions.h5"
