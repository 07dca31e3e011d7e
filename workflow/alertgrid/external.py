"""What did classifiers of others say of these alerts? Their scores, from columns of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .errors import StudyError


def external_scores(catalogue: pd.DataFrame, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores that stand in a catalogue.

    Parameters
    ----------
    catalogue : DataFrame
        Columns candid and those named.
    names : sequence of str
        Columns of scores.

    Returns
    -------
    dict of str to (N,) float
        NaN for an alert without a score.

    Raises
    ------
    StudyError
        There is no such column, or one that holds words; the first candid with one is named.
    """
    return {name: _scores(catalogue, name) for name in names}


def _scores(catalogue: pd.DataFrame, name: str) -> np.ndarray:
    """Numbers of one column, (N,) float."""
    if name not in catalogue:
        raise StudyError("report.external", f"no column {name!r}", f"one of {list(catalogue)}", "correct the name")
    column = catalogue[name]
    scores = pd.to_numeric(column, errors="coerce")
    words = scores.isna() & column.notna() & (column != "")
    if words.any():
        row = catalogue[words].iloc[0]
        remedy = "take the column out of report.external, or mend its values in the data"
        raise StudyError("report.external", f"{name} of candid {row['candid']} is {row[name]!r}", "numbers", remedy)
    return scores.to_numpy(float)
