"""What figures and the page call things, and which cells they show when there is no room for all."""

import numpy as np
import pandas as pd
import pytest
import synthetic_report
from alertgrid.figures import words
from alertgrid.figures.policies import magnitude_bin


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("convnext_pico-galaxies-fusion", ("convnext_pico", "galaxies", "fusion", "all", "given")),
        ("m-none-image-difference-permuted", ("m", "none", "image", "difference", "permuted")),
        ("m-none-image-permuted", ("m", "none", "image", "all", "permuted")),
        ("btsbot_v101_score", ("btsbot_v101_score", "", "", "", "given")),
    ],
)
def test_axes_of_a_cell_from_its_name(cell, expected):
    assert tuple(words.parse_cell(cell).values()) == expected


def test_leaders_are_the_best_of_each_architecture_first():
    cells = synthetic_report.performance()["cell"]
    chosen = words.leaders({"runs": synthetic_report.runs()}, cells, 4)
    axes = {words.parse_cell(cell)["architecture"] for cell in chosen}
    assert len(axes) == 4
    assert chosen[0] == "convnext_pico-galaxies-fusion"
    assert words.leaders({}, ["a-b-c", "a-b-d"], 1) == ["a-b-c"]


def test_leaders_are_chosen_by_validation_at_the_largest_fraction():
    runs = [("a-b-c", 0.1, 0.99), ("a-b-c", 1.0, 0.8), ("a-b-c", 1.0, 0.9), ("a-b-d", 1.0, 0.87), ("x-b-c", 1.0, 0.7)]
    tables = {"runs": pd.DataFrame(runs, columns=["cell", "fraction", "val_auc"])}
    tables["performance"] = pd.DataFrame({"cell": ["a-b-c"], "fraction": 1.0, "metric": "roc_auc", "estimate": 0.99})
    assert words.leaders(tables, ["a-b-c", "other_score", "x-b-c", "a-b-d"], 3) == ["a-b-d", "x-b-c", "other_score"]


def test_intervals_say_their_commonest_method_and_where_seeds_are_not_in_them():
    frame = pd.DataFrame({"low": 0.1, "level": 0.95, "method": ["between seeds", "between seeds", "one seed", "x"]})
    said = words.interval_words(frame)
    assert said.startswith("95 % intervals (between seeds, or as the table says")
    assert "one seed, of the test sources alone" in said
    assert "one seed" not in words.interval_words(frame.drop(index=2))
    assert words.interval_words(frame.loc[[2]]) == "95 % intervals (one seed)"


def test_metrics_fall_back_on_what_the_table_has():
    frame = pd.DataFrame({"metric": ["mcc", "brier", "ece"]})
    assert words.choose_metrics(frame, words.PRIMARY) == ["mcc", "brier"]
    assert words.metric_title("tnr_at_tpr") == "Tnr at tpr"


def test_counts_in_words():
    assert words.span(pd.Series([1, 1]), "seeds") == "1 seed"
    assert words.span(pd.Series([1200, 3]), "alerts") == "3 to 1,200 alerts"
    assert words.span(pd.Series([np.nan]), "alerts") == ""
    assert magnitude_bin("mag=17.00-17.25") == (17.0, 17.25)
    assert magnitude_bin("band=g") is None
