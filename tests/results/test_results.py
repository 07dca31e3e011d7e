"""Facts that any true result obeys. Run by the rule `check_results` on the real outputs of a study."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from alertgrid.comparison import t_tail
from alertgrid.dataset import read_catalogue
from alertgrid.predictions import read_predictions
from alertgrid.splits import training_rows
from scipy import special

STUDY = os.environ.get("ALERTGRID_RESULTS")
pytestmark = pytest.mark.skipif(not STUDY, reason="ALERTGRID_RESULTS does not name the folder of a finished study")


@pytest.fixture(scope="module")
def catalogue() -> pd.DataFrame:
    return read_catalogue(Path(STUDY) / "catalogue.h5")


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    return read(Path(STUDY) / "grid.csv")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def table(name: str) -> pd.DataFrame:
    return read(Path(STUDY) / "report/tables" / f"{name}.csv")


def test_no_object_and_no_stamp_lies_in_two_splits(catalogue):
    assert catalogue["candid"].is_unique
    used = catalogue[catalogue["split"] != ""]  # empty for alerts of variable stars beyond BTSbot's N_max
    assert used.groupby("objectId")["split"].nunique().max() == 1
    assert used.groupby("stamp_digest")["split"].nunique().max() == 1


def test_training_fractions_are_nested(catalogue, grid):
    for draw in grid["draw"].unique():
        subsets = [training_rows(catalogue, fraction, draw) for fraction in sorted(grid["fraction"].unique())]
        assert all((small <= large).all() for small, large in pairwise(subsets))
        assert all((catalogue.loc[subset, "split"] == "train").all() for subset in subsets)


def test_every_run_scored_the_validation_and_test_alerts(catalogue, grid):
    wanted = catalogue[catalogue["split"].isin(["val", "test"])].set_index("candid")
    missing = set(table("missing")["run"])
    for run in set(grid["run"]) - missing:
        predictions = read_predictions(Path(STUDY) / "runs" / run / "predictions.h5").set_index("candid")
        assert set(predictions.index) == set(wanted.index), run
        assert predictions["split"].astype(str).equals(wanted.loc[predictions.index, "split"]), run
        assert predictions["score"].between(0, 1).all(), run


def test_every_cell_of_the_grid_is_in_the_performance_table(grid):
    reported = set(table("performance")["cell"])
    missing = set(table("missing")["run"])
    assert set(grid.loc[~grid["run"].isin(missing), "cell"]) <= reported


def test_intervals_hold_their_estimates():
    performance = table("performance").dropna(subset=["estimate", "low", "high"])
    assert (performance["low"] <= performance["estimate"] + 1e-9).all()
    assert (performance["estimate"] <= performance["high"] + 1e-9).all()


def auc(**wanted) -> pd.DataFrame:
    performance = table("performance")
    rows = performance[(performance["metric"] == "roc_auc") & (performance["architecture"] != "external")]
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows


def with_all_objects(**wanted) -> pd.DataFrame:
    """AUC rows at the largest fraction; a network of a few dozen objects may learn what does not hold for others."""
    rows = auc(**wanted)
    return rows[rows["fraction"] == rows["fraction"].max()]


def chance(row, rows: int) -> bool:
    """Whether an AUC may be 0.5: true results fail this in one study of a thousand, whatever the level of the report.

    Student's t on the logit scale, as the report's intervals, at 0.001 divided by the rows looked at (Bonferroni). Two
    seeds may be equal by luck, which so far out the report's degrees of freedom do not hold (1.7 % instead of 0.1 % of
    simulated controls); the one degree that two seeds have does.
    """
    if not row.se > 0:  # no variation seen: the table's exact bound, or no interval at all
        return not (row.low > 0.5 or row.high < 0.5)
    distance = abs(special.logit(row.estimate)) * row.estimate * (1 - row.estimate) / row.se
    return 2 * t_tail(distance, 1.0 if row.n_seeds == 2 else row.df) > 0.001 / rows


def test_no_network_with_all_training_objects_is_worse_than_chance():
    rows = with_all_objects(labels="given")
    for row in rows.itertuples():
        said = f"{row.cell}: AUC {row.estimate:.3f} ({row.low:.3f} to {row.high:.3f})"
        assert row.estimate >= 0.5 or chance(row, len(rows)), said


@pytest.mark.skipif(not os.environ.get("ALERTGRID_EXPECT_SIGNAL"), reason="the study does not expect a signal")
def test_every_image_network_beats_chance_with_all_training_objects():
    rows = with_all_objects(inputs="image", labels="given")
    worst = rows.loc[rows["low"].idxmin()]
    assert worst["low"] > 0.5, f"{worst['cell']}: AUC {worst['estimate']:.3f} ({worst['low']:.3f}-{worst['high']:.3f})"


def test_permuted_labels_teach_nothing():
    rows = auc(labels="permuted")
    for row in rows.itertuples():
        assert chance(row, len(rows)), f"{row.cell}: AUC {row.estimate:.3f} ({row.low:.3f} to {row.high:.3f})"


def test_training_lowers_the_training_loss():
    history = table("history")
    for (cell, fraction, seed), run in history.groupby(["cell", "fraction", "seed"]):
        if len(run) >= 5:  # a few warm-up epochs prove nothing
            assert run["train_loss"].min() < run["train_loss"].iloc[0], (cell, fraction, seed)
