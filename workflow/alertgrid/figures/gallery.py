"""What do the alerts look like? A contact sheet by class, and the surest right and wrong scores of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..columns import BANDS, SOURCE_SETS
from ..dataset import open_stamps, read_catalogue
from ..errors import StudyError
from ..grid import run_name
from ..predictions import read_predictions
from .sheet import Group, draw_sheet
from .style import Drawing, Skip, house_style
from .writing import write_drawings

# Outcome -> (label, score above the threshold), in the order of the gallery: the mistakes first.
OUTCOMES = {
    "false positives": (0, True),
    "false negatives": (1, False),
    "true positives": (1, True),
    "true negatives": (0, False),
}
_STAMPS = "Each triplet: science, template, difference; 63 x 63 pixels of 1.01 arcsec, zscale stretch."


@dataclass(frozen=True)
class _Alerts:
    """Catalogue and stamps of one dataset."""

    catalogue: pd.DataFrame
    stamps: np.ndarray

    @classmethod
    def open(cls, dataset: str | Path) -> _Alerts:
        return cls(read_catalogue(dataset), open_stamps(dataset))

    def group(self, head: str, rows: Sequence[int], notes: Sequence[str]) -> Group:
        """Triplets of some rows with their titles."""
        titles = []
        for row in rows:
            alert = self.catalogue.loc[row]
            titles.append(f"{alert['objectId']} {BANDS.get(alert['fid'], '?')} {alert['magpsf']:.1f}")
        return Group(head, [np.asarray(self.stamps[row], np.float32) for row in rows], titles, list(notes))


def contact_sheet(
    dataset: str | Path,
    output: str | Path,
    *,
    per_class: int = 6,
    columns: int = 3,
    seed: int = 0,
    description: str | None = None,
) -> dict:
    """Show alerts drawn at random from each source set.

    Parameters
    ----------
    dataset : path
        dataset.h5.
    output : path
        Folder for contact_sheet.pdf, contact_sheet.png and captions.json.
    per_class : int
        Alerts per source set, each of another source.
    columns : int
        Triplets side by side.
    seed : int
        Seed of the drawing.
    description : str or None
        Catalogue column printed instead of "label set" above a triplet, for example a classification.

    Returns
    -------
    dict
        Content of captions.json.
    """
    alerts = _Alerts.open(dataset)
    catalogue, groups = alerts.catalogue, []
    for name in SOURCE_SETS:
        members = catalogue[catalogue["source_set"] == name]
        rows = _one_per_source(
            members.sample(frac=1, random_state=np.random.default_rng([seed, len(groups)])), per_class
        )
        notes = [_note(catalogue.loc[row], description) for row in rows]
        groups.append(alerts.group(f"{name} ({len(members):,} alerts)", rows, notes))
    shown = sum(len(group.triplets) for group in groups)
    caption = (
        f"{shown} of {len(catalogue):,} alerts drawn at random, up to {per_class} sources per source set. {_STAMPS}"
    )
    with house_style():
        drawing = Drawing("contact_sheet", draw_sheet(groups, columns), "Contact sheet", caption)
        return write_drawings(output, [("gallery", "contact_sheet", lambda: [drawing])])


def _note(alert: pd.Series, description: str | None) -> str:
    """Text at the right above a triplet: a description where the catalogue has one, else label and set."""
    text = str(alert.get(description, "")) if description else ""
    return text if text and text != "nan" else f"label {alert['label']} {alert['source_set']}"


def _one_per_source(rows: pd.DataFrame, count: int) -> list[int]:
    """The first `count` rows of distinct sources."""
    return list(rows.drop_duplicates("objectId").index[:count])


def example_gallery(
    dataset: str | Path,
    predictions: str | Path,
    output: str | Path,
    *,
    run: str,
    threshold: float = 0.5,
    count: int = 6,
    columns: int = 3,
    split: str = "test",
) -> dict:
    """Show the alerts that a run judged surest, rightly and wrongly.

    Parameters
    ----------
    dataset : path
        dataset.h5.
    predictions : path
        predictions.h5 of one run.
    output : path
        Folder for examples.pdf, examples.png and captions.json.
    run, split : str
        Name of the run, for the caption, and the split to take the alerts from.
    threshold : float in [0, 1]
        Scores above it count as positive.
    count, columns : int
        Triplets per outcome, each of another source, and triplets side by side.

    Returns
    -------
    dict
        Content of captions.json.

    Raises
    ------
    StudyError
        None of the predictions belongs to the dataset.
    """
    alerts = _Alerts.open(dataset)
    judged = _judge(alerts.catalogue, predictions, split)
    found = {outcome: _surest(judged, *kind, threshold) for outcome, kind in OUTCOMES.items()}
    groups = [_outcome(alerts, f"{name} ({len(rows):,} alerts)", rows, count) for name, rows in found.items()]
    totals = [f"{len(rows):,} {outcome}" for outcome, rows in found.items()]
    caption = (
        f"The surest right and wrong scores of run {run} among {len(judged):,} {split} alerts at a threshold of "
        f"{threshold:g}: {', '.join(totals)}. One alert per source. {_STAMPS}"
    )
    with house_style():
        drawing = Drawing("examples", draw_sheet(groups, columns), "Right and wrong examples", caption)
        return write_drawings(output, [("gallery", "examples", lambda: [drawing])])


def _surest(judged: pd.DataFrame, label: int, above: bool, threshold: float) -> pd.DataFrame:
    """Alerts of a label on one side of the threshold, the farthest from it first."""
    rows = judged[(judged["label"] == label) & ((judged["score"] > threshold) == above)]
    return rows.sort_values("score", ascending=not above, kind="stable")


def _outcome(alerts: _Alerts, head: str, rows: pd.DataFrame, count: int) -> Group:
    """The first sources of an outcome with set and score above each triplet."""
    chosen = _one_per_source(rows, count)
    notes = [f"{rows.loc[row, 'source_set']}, score {rows.loc[row, 'score']:.3f}" for row in chosen]
    return alerts.group(head, chosen, notes)


def _judge(catalogue: pd.DataFrame, predictions: str | Path, split: str) -> pd.DataFrame:
    """Catalogue rows of a split with their scores, index unchanged."""
    scores = read_predictions(predictions)
    scores = scores[scores["split"] == split].set_index("candid")["score"]
    judged = catalogue.assign(score=catalogue["candid"].map(scores))
    judged = judged[judged["score"].notna()]
    if judged.empty:
        raise StudyError(
            str(predictions),
            f"has no {split} alert of this dataset",
            "scores of its alerts",
            "check which dataset was scored",
        )
    return judged


def best_run(tables: str | Path) -> str:
    """Name of the image run with the greatest validation AUC; validation, so that the choice says nothing of the test.

    Parameters
    ----------
    tables : path
        Folder of the report's tables; runs.csv has run, inputs, labels and val_auc.

    Raises
    ------
    StudyError
        No image run on the labels as given has finished.
    """
    path = Path(tables) / "runs.csv"
    try:
        runs = pd.read_csv(path)
        runs = runs[(runs["inputs"] == "image") & (runs["labels"] == "given") & runs["val_auc"].notna()]
    except (OSError, pd.errors.EmptyDataError, KeyError):
        runs = pd.DataFrame()
    if runs.empty:
        raise StudyError(str(path), "no image run has finished", "at least one", "let the study train one")
    return str(runs.loc[runs["val_auc"].idxmax(), "run"])


def best_examples(dataset: str | Path, tables: str | Path, runs: str | Path, output: str | Path) -> dict:
    """Gallery of the best image run, or a captions.json that says why there is none.

    Parameters
    ----------
    dataset, tables, runs, output : path
        dataset.h5, the report's tables, the folder of all runs, and the folder for the figure.
    """
    try:
        run = best_run(tables)
        threshold = threshold_of(tables, run)
    except StudyError as reason:
        return write_drawings(output, [("gallery", "examples", partial(_leave_out, reason))])
    return example_gallery(dataset, Path(runs) / run / "predictions.h5", output, run=run, threshold=threshold)


def threshold_of(tables: str | Path, run: str) -> float:
    """Score above which the report called an alert of this run positive.

    Raises
    ------
    StudyError
        metrics.csv has no row of the run.
    """
    path = Path(tables) / "metrics.csv"
    rows = pd.read_csv(path, usecols=["cell", "fraction", "seed", "threshold"]).drop_duplicates()
    names = [run_name(*key) for key in rows[["cell", "fraction", "seed"]].itertuples(index=False)]
    found = rows.loc[np.array(names, object) == run, "threshold"]
    if found.empty:
        raise StudyError(str(path), f"no row of run {run}", "one at least", "see missing.csv for why it was not judged")
    return float(found.iloc[0])


def _leave_out(reason: Exception) -> list[Drawing]:
    """A drawing that cannot be made."""
    raise Skip(str(reason))
