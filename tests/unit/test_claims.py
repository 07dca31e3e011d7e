"""Verdicts by rule on studies whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from alertgrid.claims import CLAIMS, COLUMNS, Rules, claims_table, verdict
from alertgrid.comparison import Group
from alertgrid.errors import StudyError
from alertgrid.tables.evaluate import CellResult
from alertgrid.tables.gather import Study, cells_of
from alertgrid.tables.settings import ReportSettings

CLASSES = np.arange(100) < 50


def known(value, noise=1e-4):
    """A group of two seeds around a value."""
    influence = np.tile([1.0, -1.0], 50) * noise / 10
    return Group(np.array([value - noise, value + noise]), influence, 0.0, CLASSES, 50)


def study(values):
    """A study from {(architecture, pretraining, inputs, stamps): {fraction: value}}."""
    grid, results = [], {}
    for axes, curve in values.items():
        cell = "-".join(axes)
        names = dict(zip(("architecture", "pretraining", "inputs", "stamps"), axes, strict=True))
        grid.append({"cell": cell, **names, "labels": "given"})
        for fraction, value in curve.items():
            groups = {"roc_auc": known(value), "accuracy": known(value)}
            results[cell, fraction] = CellResult(cell, fraction, groups, n_sources=100)
    return Study(cells_of(pd.DataFrame(grid), []), results, {})


def row(table, number, scope=""):
    found = table[(table["claim"] == number) & table["scope"].str.contains(scope)]
    assert len(found) == 1
    return found.iloc[0]


CNN = ("btsbot_cnn", "none", "image", "all")
NET = {name: ("convnext_pico", name, "image", "all") for name in ("none", "imagenet", "galaxyzoo")}
BLIND = ("convnext_pico", "none", "image", "science_template")
EMPTY = pd.DataFrame()


def test_verdict():
    assert verdict(0.1, 0.2) == "supported"
    assert verdict(-0.2, -0.1) == "contradicted"
    assert verdict(-0.1, 0.1) == "undecided"
    assert verdict(-0.1, 0.1, -0.2) == "supported"
    assert verdict(np.nan, 0.1) == "not measured"


def test_a_study_that_agrees_with_every_claim():
    table = claims_table(
        study(
            {
                CNN: {0.1: 0.8, 1.0: 0.9},
                NET["none"]: {0.1: 0.80, 1.0: 0.91},
                NET["imagenet"]: {0.1: 0.85, 1.0: 0.92},
                NET["galaxyzoo"]: {0.1: 0.88, 1.0: 0.94},
                BLIND: {0.1: 0.70, 1.0: 0.88},
            }
        ),
        timing(2.0, 0.5),
        pd.DataFrame(
            {"cell": ["-".join(NET["galaxyzoo"])], "metric": ["roc_auc"], "multiplier": [3.0], "status": ["reached"]}
        ),
        Rules(),
    )
    assert tuple(table) == COLUMNS
    assert set(table["verdict"]) == {"supported"}
    assert not table["reason"].str.contains("in the place of").any()
    assert set(table["claim"]) == {claim.number for claim in CLAIMS}
    first = row(table, "1")
    assert first["estimate"] == pytest.approx((0.91 + 0.92 + 0.94) / 3 - 0.9)
    assert row(table, "2", "imagenet")["estimate"] == pytest.approx(0.02)
    assert row(table, "2", "none")["estimate"] == pytest.approx(0.03)
    assert row(table, "4", "galaxyzoo")["estimate"] == pytest.approx(0.08)
    assert "reached 3" in row(table, "4", "galaxyzoo")["reason"]
    assert row(table, "5")["estimate"] == pytest.approx(0.03)
    assert row(table, "6")["estimate"] == pytest.approx(0.1 - 0.03)
    assert (table["low"] <= table["estimate"]).all()


def test_a_study_that_contradicts():
    table = claims_table(
        study(
            {
                CNN: {0.1: 0.9, 1.0: 0.95},
                NET["none"]: {0.1: 0.80, 1.0: 0.91},
                NET["imagenet"]: {0.1: 0.75, 1.0: 0.91},
                NET["galaxyzoo"]: {0.1: 0.70, 1.0: 0.90},
                BLIND: {0.1: 0.85, 1.0: 0.97},
            }
        ),
        timing(0.5, 2.0),
        EMPTY,
        Rules(),
    )
    verdicts = {number: set(part["verdict"]) for number, part in table.groupby("claim")}
    # Parameters are more all the same; the gain at 0.1 is -0.05, at 1.0 -0.06.
    assert verdicts.pop("3") == {"contradicted", "supported"}
    assert verdicts.pop("6") == {"supported"}
    assert set.union(*verdicts.values()) == {"contradicted"}


def test_margin_decides_what_counts_as_matching():
    cells = study({CNN: {1.0: 0.9}, NET["none"]: {1.0: 0.897}})
    assert row(claims_table(cells, EMPTY, EMPTY, Rules(margin=0.01)), "1")["verdict"] == "supported"
    assert row(claims_table(cells, EMPTY, EMPTY, Rules(margin=0.001)), "1")["verdict"] == "contradicted"


def test_other_pretrainings_than_the_published_are_named():
    images = ("convnext_pico", "galaxies", "image", "all")
    cells = study(
        {NET["none"]: {1.0: 0.9}, images: {1.0: 0.95}, ("convnext_pico", "fractals", "image", "all"): {1.0: 0.8}}
    )
    table = claims_table(cells, EMPTY, EMPTY, Rules(domain="galaxies", others=("fractals", "none")))
    assert "galaxies in the place of the Galaxy Zoo" in row(table, "2", "galaxies against none")["reason"]
    assert row(table, "2", "galaxies against none")["verdict"] == "supported"
    assert "fractals is no part of" in row(table, "2", "fractals")["reason"]
    assert row(table, "2", "galaxies against imagenet")["verdict"] == "not measured"


def test_the_custom_cnn_of_the_claims_is_not_what_the_study_compares_with():
    assert ReportSettings.of({"baseline": "convnext_pico"}).rules().baseline == "btsbot_cnn"
    assert ReportSettings.of({"claims": {"baseline": "acero_cnn"}}).rules().baseline == "acero_cnn"
    assert ReportSettings.of({"level": 0.9}).rules().level == 0.9


def test_missing_cells_are_not_measured():
    table = claims_table(study({CNN: {1.0: 0.9}}), EMPTY, EMPTY, Rules())
    assert set(table["verdict"]) == {"not measured"}
    assert list(table["claim"]) == ["1", "2", "2", "3", "4", "5", "6"]
    only_full = study({NET["none"]: {1.0: 0.9}, NET["galaxyzoo"]: {1.0: 0.9}, BLIND: {1.0: 0.8}})
    table = claims_table(only_full, EMPTY, EMPTY, Rules())
    assert row(table, "4")["verdict"] == "not measured"
    assert row(table, "6")["verdict"] == "not measured"
    assert row(table, "5")["verdict"] == "supported"


def timing(speed, memory):
    """A timing table of two networks at two batches; the larger batch counts."""
    shared = {"inputs": "image", "device": "box", "precision": "fp32", "mode": "eager"}
    rows = []
    for batch in (1, 64):
        factor = speed if batch == 64 else 1 / speed
        for name, ratio, peak, size in (("btsbot_cnn", 1.0, 100.0, 10), ("convnext_pico", factor, 100 * memory, 90)):
            throughput = {"throughput": ratio, "throughput_low": 0.9 * ratio, "throughput_high": 1.1 * ratio}
            sizes = {"peak_memory_mb": peak, "parameters": size}
            rows.append({"architecture": name, "batch": batch, **shared, **throughput, **sizes})
    return pd.DataFrame(rows)


def test_timing_ratios():
    table = claims_table(study({CNN: {1.0: 0.9}}), timing(2.0, 0.5), EMPTY, Rules())
    part = table[table["claim"] == "3"].set_index("quantity")
    assert list(part["estimate"]) == [2.0, 2.0, 9.0]
    assert part["low"].iloc[0] == pytest.approx(0.9 * 2 / 1.1)
    assert "batch 64" in part["scope"].iloc[0]


def test_unknown_rule_is_refused():
    assert Rules.of({"margin": 0.02}).margin == 0.02
    with pytest.raises(StudyError, match="margins"):
        Rules.of({"margins": 0.02})
