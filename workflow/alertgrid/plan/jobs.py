"""Which jobs does a study need beside its tasks? Those whose files are not there yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..grid import encoders_needed
from .work import searches_used

DATA = ("dataset.h5", "catalogue.h5")
# By tabulate, draw_figures, draw_sheet, draw_examples, write_page, write_cards, check_results.
REPORT = (
    "tables", "figures/results", "figures/sheet", "figures/examples", "index.html", "checklist.md", "checked.txt",
)  # fmt: skip


def other_jobs(settings: Mapping[str, Any], grid: pd.DataFrame, folder: Path, *, done: bool) -> int:
    """Jobs still to come that are no tasks; local rules are none. `done` says whether all tasks are.

    A report is made anew when anything before it is.
    """
    missing = [path for path in _made(settings, grid) if not (folder / path).exists()]
    report = [name for name in REPORT if missing or not done or not (folder / "report" / name).exists()]
    return len(missing) + len(report)


def _made(settings: Mapping[str, Any], grid: pd.DataFrame) -> Iterator[str]:
    """Files before the report, one a job: data, corpora, local weights, and the jobs that wait for their trials."""
    yield from DATA
    needed, defined = encoders_needed(grid, settings["pretraining"]), settings["pretraining"]
    for name in dict.fromkeys(name for _, name in needed):
        if defined[name].get("corpus", {}).get("source") == "simulation":
            yield f"corpora/{name}.h5"
    for architecture, name in needed:
        if {"folder", "file"} & defined[name].keys():
            yield f"encoders/{architecture}-{name}/manifest.json"
    yield from (f"tuning/{cell['cell']}/best.yaml" for cell in searches_used(settings, grid))
