"""Classifiers that no study trained are compared too: published models, and scores in the catalogue."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alertgrid.compare import Choices, write_comparison
from alertgrid.dataset import read_catalogue, write_catalogue
from alertgrid.files import read_json, write_json
from generated_study import enter, load_generator

SCORE = "other_score"


@pytest.fixture
def pair(tmp_path):
    """Twice the same study of one cell, with a published model and another classifier's scores in the catalogue."""
    before, after = tmp_path / "before", tmp_path / "after"
    load_generator().study(before, Namespace(cells=1, fractions=1, seeds=1, alerts=600, per_source=6))
    catalogue = read_catalogue(before / "catalogue.h5")
    enter(before, "published", catalogue[SCORE].to_numpy(), catalogue)
    return before, Path(shutil.copytree(before, after))


def of(tables, cell):
    """Rows of the ROC AUC of a cell."""
    table = tables["comparison"]
    return table[(table["cell"] == cell) & (table["metric"] == "roc_auc")].iloc[0]


def test_a_published_model_that_changed_is_compared_and_its_change_is_named(pair, tmp_path):
    before, after = pair
    catalogue = read_catalogue(after / "catalogue.h5")
    enter(after, "published", 1 - catalogue[SCORE].to_numpy(), catalogue)
    record = after / "entrants" / "published" / "run.json"
    write_json(record, {**read_json(record), "revision": "new"})
    tables = write_comparison(before, after, tmp_path / "out")
    row = of(tables, "published")
    assert row["after"] == pytest.approx(1 - row["before"])
    assert row["paired"] == "yes"
    assert tables["changes"][["what", "after", "run"]].to_numpy().tolist() == [
        ["revision", "new", "entrants/published"]
    ]
    shutil.rmtree(after / "entrants")
    lone = write_comparison(before, after, tmp_path / "out")["lone_runs"]
    assert lone[["cell", "only"]].to_numpy().tolist() == [["published", "before"]]


def test_scores_of_the_catalogue_are_compared_where_they_are_named(pair, tmp_path):
    before, after = pair
    assert SCORE not in set(write_comparison(before, after, tmp_path / "out")["comparison"]["cell"])
    choices = Choices(external=(SCORE,))
    assert of(write_comparison(before, after, tmp_path / "out", choices=choices), SCORE)["verdict"] == "identical"
    catalogue = read_catalogue(after / "catalogue.h5")
    catalogue.loc[catalogue.index[::3], SCORE] = np.nan
    write_catalogue(after / "catalogue.h5", catalogue)
    found = write_comparison(before, after, tmp_path / "out", choices=choices)
    assert of(found, SCORE)["paired"] == "no", "judged on other alerts than before"
    assert of(found, "published")["paired"] == "yes"


def test_the_dictionary_has_units(pair, tmp_path):
    write_comparison(*pair, tmp_path / "out")
    dictionary = pd.read_csv(tmp_path / "out" / "data_dictionary.csv").set_index(["table", "column"])
    assert dictionary.loc[("splits", "alerts_in_both"), "unit"] == "alerts"
    assert dictionary.loc[("comparison", "difference"), "unit"] == "that of the metric"
