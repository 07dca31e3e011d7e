"""Two judged studies -> CSV tables, a short text and one static page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..comparison import Group, contrast
from ..errors import StudyError
from ..figures.words import PRIMARY
from ..files import write_csv, write_text
from ..metrics import METRICS
from ..multiplicity import corrected
from ..scales import scale_of
from ..tables.evaluate import Options
from . import page
from .changes import changes, lone_runs
from .studies import Judged, Key, judge_study, splits_table, unlike
from .words import DICTIONARY, VERDICTS, text


@dataclass(frozen=True)
class Choices:
    """How both studies are judged.

    Threshold (or metric that chooses it), bins of the ECE, coverage, power, and the columns of both catalogues that
    hold other classifiers' scores.
    """

    threshold: float | str = 0.5
    bins: int = 15
    level: float = 0.95
    power: float = 0.8
    external: Sequence[str] = ()


def write_comparison(
    before: str | Path,
    after: str | Path,
    output: str | Path,
    *,
    names: tuple[str, str] = ("before", "after"),
    choices: Choices | None = None,
    metrics: Sequence[str] = PRIMARY,
    workers: int = 1,
) -> dict[str, pd.DataFrame]:
    """Compare two finished studies cell by cell.

    Parameters
    ----------
    before, after : path
        Folders `results/{study}`.
    output : path
        Folder for comparison.csv, changes.csv, splits.csv, lone_runs.csv, missing.csv, data_dictionary.csv,
        comparison.md and index.html.
    names : two str
        What the studies are called.
    choices : Choices
        The same for both studies.
    metrics : sequence of str
        Metrics shown in full in the text and at the head of the page; the CSV has all.
    workers : int
        Processes.

    Returns
    -------
    dict of table name to DataFrame, as written.

    Raises
    ------
    StudyError
        A folder holds no finished study, the two have no cell in common, or a metric is unknown.
    """
    choices, output = choices or Choices(), Path(output)
    _refuse_unknown(metrics)
    options = Options((), choices.threshold, (), choices.bins, choices.level)
    named = zip((before, after), names, strict=True)
    studies = [judge_study(path, name, options, choices.external, workers) for path, name in named]
    tables = compared_tables(*studies, choices)
    for name, frame in tables.items():
        write_csv(output / f"{name}.csv", frame)
    reason = unlike(*studies)
    write_text(output / "comparison.md", text(tables, names, reason, metrics))
    page.write(output / "index.html", tables, studies, reason, metrics)
    return tables


def _refuse_unknown(metrics: Sequence[str]) -> None:
    """Raise unless every metric is one that runs are judged by."""
    for metric in metrics:
        if metric not in METRICS:
            raise StudyError("--metric", repr(metric), f"any of {', '.join(METRICS)}", "correct its name")


def compared_tables(before: Judged, after: Judged, choices: Choices) -> dict[str, pd.DataFrame]:
    """All tables of a comparison."""
    lost = [(study.name, *problem) for study in (before, after) for problem in study.problems]
    tables = {
        "comparison": comparison(before, after, choices),
        "changes": changes(before, after),
        "splits": splits_table(before, after),
        "lone_runs": lone_runs(before, after),
        "missing": pd.DataFrame(lost, columns=["study", "run", "reason"]),
    }
    rows = [(name, column, *DICTIONARY[column]) for name, frame in tables.items() for column in frame]
    return tables | {"data_dictionary": pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])}


def comparison(before: Judged, after: Judged, choices: Choices) -> pd.DataFrame:
    """comparison.csv: both estimates and their difference, per cell, fraction and metric.

    Raises
    ------
    StudyError
        The two studies have no cell and fraction in common.
    """
    shared = [key for key in before.results if key in after.results]
    if not shared:
        expected = "two studies with cells in common"
        raise StudyError(f"{before.name}, {after.name}", "no cell in common", expected, "compare two of one kind")
    paired = not unlike(before, after)
    rows = [_row(before, after, key, metric, choices, paired) for key in shared for metric in METRICS]
    table = corrected(pd.DataFrame(rows), choices.level, choices.power)
    told = (1 - choices.level > table["p_holm"]) & (table["verdict"] == "undecided")
    table.loc[told, "verdict"] = np.where(table.loc[told, "difference"] > 0, "higher", "lower")
    assert set(table["verdict"]) <= set(VERDICTS)
    return table


def _row(before: Judged, after: Judged, key: Key, metric: str, choices: Choices, paired: bool) -> dict[str, Any]:
    """One row of comparison.csv; the verdict is still without Holm's correction."""
    groups = [study.results[key].groups[metric] for study in (before, after)]
    # A classifier without all scores is judged on the alerts that it scored, which may be others after than before.
    paired = paired and before.results[key].n_alerts == after.results[key].n_alerts
    own = [contrast([(1.0, member)], choices.level, scale_of(metric)) for member in groups]
    found = contrast([(1.0, groups[1]), (-1.0, groups[0])], choices.level, "identity", choices.power, paired)
    row: dict[str, Any] = {"cell": key[0], "fraction": key[1], "metric": metric}
    for side, interval in zip(("before", "after"), own, strict=True):
        row |= {side: interval.estimate, f"{side}_low": interval.low, f"{side}_high": interval.high}
    same = paired and _identical(*groups)
    names = ("estimate", "low", "high", "p", "detectable", "se", "df")
    values = (0.0, 0.0, 0.0, *[np.nan] * 4) if same else [getattr(found, name) for name in names]
    row |= dict(zip(("difference", *names[1:]), values, strict=True))
    row |= {"level": choices.level, "paired": "yes" if paired else "no"}
    row["verdict"] = "identical" if same else "undecided" if np.isfinite(found.low) else "not defined"
    row["n_seeds"] = found.n_seeds
    row["method"] = "the same predictions: nothing to estimate" if same else found.method
    for side, study, member in zip(("before", "after"), (before, after), groups, strict=True):
        row |= {f"n_seeds_{side}": len(member.values), f"n_sources_{side}": study.results[key].n_sources}
    return row


def _identical(first: Group, second: Group) -> bool:
    """Whether every seed's figure and every source's weight in it are the same, to the last bit."""
    pairs = ((getattr(first, field.name), getattr(second, field.name)) for field in fields(Group))
    return len(first.values) > 0 and all(np.array_equal(one, other) for one, other in pairs)
