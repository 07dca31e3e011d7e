"""A finished study as a comparison needs it: its test set, its runs' records and what every cell reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..dataset import read_catalogue
from ..errors import StudyError
from ..files import read_json
from ..tables.evaluate import CellResult, Options
from ..tables.records import flatten, read_records
from ..tables.testset import TestSet, build_testset
from ..tables.write import entrants_of, evaluate_all, external_entrants, read_grid

Key = tuple[str, float]  # cell, fraction


@dataclass(frozen=True)
class Judged:
    """One study, judged.

    Attributes
    ----------
    name : str
        How the comparison calls it.
    catalogue, grid, records : DataFrame
        Catalogue with splits, grid.csv, and one row per finished run or published model with its flattened run.json.
    tests : TestSet
    results : mapping of (cell, fraction) to CellResult
        Those with at least one usable run.
    problems : list of (run, reason)
        Runs that could not be judged.
    """

    name: str
    catalogue: pd.DataFrame
    grid: pd.DataFrame
    records: pd.DataFrame
    tests: TestSet
    results: Mapping[Key, CellResult]
    problems: list[tuple[str, str]]


def judge_study(
    folder: str | Path, name: str, options: Options, external: Sequence[str] = (), workers: int = 1
) -> Judged:
    """Judge every run of a study, and every published model that was entered.

    Parameters
    ----------
    folder : path
        `results/{study}`, with catalogue.h5, grid.csv, runs/ and, where models were entered, entrants/.
    name : str
    options : Options
        Threshold, bins and level; the same for both studies of a comparison.
    external : sequence of str
        Columns of the catalogue with other classifiers' scores, judged too.
    workers : int
        Processes.

    Raises
    ------
    StudyError
        No study lies there, or none of its runs can be judged.
    """
    folder = Path(folder)
    if not (folder / "grid.csv").is_file():
        raise StudyError(str(folder), "holds no study", "a folder results/{study} with grid.csv", "check the name")
    catalogue, grid = read_catalogue(folder / "catalogue.h5"), read_grid(folder / "grid.csv")
    tests, published = build_testset(catalogue, (), external), sorted((folder / "entrants").glob("*/predictions.h5"))
    entrants = [*entrants_of(grid, folder / "runs"), *external_entrants(external, published)]
    results = evaluate_all(entrants, tests, options, workers)
    usable = {(result.cell, result.fraction): result for result in results if result.groups}
    if not usable:
        raise StudyError(str(folder), "has no finished run", "a study with predictions", "run the study first")
    records = pd.concat([read_records(grid, folder / "runs")[0], _entered(published)], ignore_index=True)
    problems = [problem for result in results for problem in result.problems]
    return Judged(name, catalogue, grid, records, tests, usable, problems)


def _entered(published: Sequence[Path]) -> pd.DataFrame:
    """Records of published models, as those of runs; one without its record has no row."""
    files = [path.with_name("run.json") for path in published]
    own = {"fraction": 1.0, "seed": 0}
    found = [
        flatten(read_json(file)) | {"run": f"entrants/{file.parent.name}", **own} for file in files if file.exists()
    ]
    return pd.DataFrame(found)


def unlike(before: Judged, after: Judged) -> str:
    """Why the two test sets do not allow pairing; empty where they do: same alerts, objects and labels."""
    first, second = (_test_rows(study) for study in (before, after))
    only = [int((~one.index.isin(other.index)).sum()) for one, other in ((first, second), (second, first))]
    if any(only):
        return f"the test sets differ ({only[0]:,} alerts only before, {only[1]:,} only after)"
    second = second.loc[first.index]
    for column, what in (("label", "labels"), ("objectId", "objects")):
        changed = int((first[column] != second[column]).sum())
        if changed:
            return f"{changed:,} test alerts have other {what}"
    return ""


def _test_rows(study: Judged) -> pd.DataFrame:
    """Test alerts by candid."""
    rows = study.catalogue[study.catalogue["split"] == "test"]
    return rows.set_index("candid").sort_index()


def splits_table(before: Judged, after: Judged) -> pd.DataFrame:
    """Alerts and sources of each split: before, after, in both, and alerts whose label changed."""
    rows = []
    for split in ("train", "val", "test"):
        parts = [study.catalogue[study.catalogue["split"] == split] for study in (before, after)]
        labels = [part.set_index("candid")["label"] for part in parts]
        shared = labels[0].index.intersection(labels[1].index)
        row = {"split": split}
        for what, sets in (
            ("alerts", [part.index for part in labels]),
            ("sources", [pd.Index(part["objectId"].unique()) for part in parts]),
        ):
            row |= {f"{what}_before": len(sets[0]), f"{what}_after": len(sets[1])}
            row[f"{what}_in_both"] = len(sets[0].intersection(sets[1]))
        changed = np.count_nonzero(labels[0].loc[shared].to_numpy() != labels[1].loc[shared].to_numpy())
        rows.append(row | {"labels_changed": changed})
    return pd.DataFrame(rows)
