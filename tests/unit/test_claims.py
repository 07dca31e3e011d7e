"""Verdicts by rule on studies whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from alertgrid.claims.table import CLAIMS, COLUMNS, Rules, claims_table, verdict
from alertgrid.comparison import group
from alertgrid.errors import StudyError
from alertgrid.tables.evaluate import CellResult
from alertgrid.tables.gather import Study, cells_of
from alertgrid.tables.settings import ReportSettings

CLASSES = np.arange(100) < 50


def known(value, noise=1e-5, seeds=(0, 1)):
    """A group of some seeds around a value, each value with other noise."""
    rng = np.random.default_rng(round(1e6 * value))
    values, rows = rng.normal(0, noise, len(seeds)), rng.normal(0, noise / 10, (len(seeds), 100))
    return group(value + values - values.mean(), rows, CLASSES, 50, seeds=seeds)


def study(values, seeds=(0, 1)):
    """A study from {(architecture, pretraining, inputs, stamps): {fraction: value}}."""
    grid, results = [], {}
    for axes, curve in values.items():
        cell = "-".join(axes)
        names = dict(zip(("architecture", "pretraining", "inputs", "stamps"), axes, strict=True))
        grid.append({"cell": cell, **names, "labels": "given"})
        for fraction, value in curve.items():
            groups = {"roc_auc": known(value, seeds=seeds), "accuracy": known(value, seeds=seeds)}
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
            [("-".join(NET["galaxyzoo"]), "roc_auc", 3.0, "reached", 0.0, 5.2)],
            columns=["cell", "metric", "multiplier", "status", "low", "high"],
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
    assert "-image-all 3.0 (up to 5.2)" in row(table, "4", "galaxyzoo")["reason"]
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


def test_one_seed_decides_nothing():
    table = claims_table(study({CNN: {1.0: 0.8}, NET["none"]: {1.0: 0.9}}, seeds=(1,)), EMPTY, EMPTY, Rules())
    first = row(table, "1")
    assert 0 < first["low"] < first["estimate"] < first["high"]
    assert first["verdict"] == "undecided"
    assert first["reason"].endswith("but the spread between seeds is not measured")


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


def job(name, speed, memory, inputs="image", reference=None, peak_of_one=50.0):
    """Rows of a timing job at two batches, of which the larger counts: a network beside the custom CNN."""
    rows = []
    for batch, factor, peak in ((1, 1 / speed, peak_of_one), (64, speed, 100 * memory - 20)):
        own = {"architecture": name, "relative_to_custom": factor, "peak_memory_mb": peak, "parameters": 90}
        cnn = {"architecture": "btsbot_cnn", "relative_to_custom": 1.0, "peak_memory_mb": 95.0, "parameters": 10}
        for row, kind, weights in ((own, inputs, 20.0), (cnn, reference or inputs, 5.0)):
            low, high = 0.9 * row["relative_to_custom"], 1.1 * row["relative_to_custom"]
            row |= {"inputs": kind, "batch": batch, "repeats": 20, "relative_low": low, "relative_high": high}
            rows.append(row | {"weights_mb": weights, "memory_mb": weights + row["peak_memory_mb"]})
    shared = {"job": f"{name}-{inputs}", "device": "box", "precision": "fp32", "mode": "eager", "latency_ms": 1.0}
    return pd.DataFrame(rows).assign(**shared)


def timing(speed, memory):
    """A timing table of one network."""
    return job("convnext_pico", speed, memory)


def cost_claims(*jobs):
    table = claims_table(study({CNN: {1.0: 0.9}}), pd.concat(jobs, ignore_index=True), EMPTY, Rules())
    return table[table["claim"] == "3"]


def test_timing_ratios():
    part = cost_claims(timing(2.0, 0.5))
    np.testing.assert_allclose(part["estimate"], [2.0, 2.0, 9.0])
    assert part["low"].iloc[0] == pytest.approx(0.9 * 2)
    assert "batch 64" in part["scope"].iloc[0]
    assert "median of 20 turns, its interval covers 96 %" in part["reason"].iloc[0]


def test_memory_that_must_fit_has_the_weights():
    part = cost_claims(timing(2.0, 1.1))  # peaks of 90 and 95, with the weights 110 and 100
    assert part["verdict"].iloc[1] == "contradicted"
    assert part["estimate"].iloc[1] == pytest.approx(100 / 110)
    assert "weights" in part["quantity"].iloc[1]


def test_the_custom_cnn_of_another_job_plays_no_part():
    slower = job("maxvit_tiny", 0.5, 0.5)
    slower[["memory_mb", "parameters"]] *= 7.0  # another machine, another custom CNN
    first = cost_claims(slower, timing(2.0, 0.5))
    second = cost_claims(timing(2.0, 0.5), slower)
    for part in (first, second):
        found = part[part["scope"].str.contains("convnext_pico")]
        np.testing.assert_allclose(found["estimate"], [2.0, 2.0, 9.0])


def test_a_batch_without_room_is_not_the_one_that_is_judged():
    table = timing(2.0, 0.5)
    table.loc[(table["batch"] == 64) & (table["architecture"] == "convnext_pico"), ["latency_ms", "memory_mb"]] = np.nan
    part = cost_claims(table)
    assert part["scope"].str.contains("batch 1$").all()
    assert set(part["verdict"]) == {"contradicted", "supported"}


def test_like_is_timed_beside_like():
    metadata = job("metadata_net", 50.0, 0.3, "metadata", reference="image")
    assert set(cost_claims(metadata)["verdict"]) == {"not measured"}
    other = claims_table(study({CNN: {1.0: 0.9}}), timing(2.0, 0.5), EMPTY, Rules(baseline="acero_cnn"))
    assert set(other[other["claim"] == "3"]["verdict"]) == {"not measured"}


def test_unknown_rule_is_refused():
    assert Rules.of({"margin": 0.02}).margin == 0.02
    with pytest.raises(StudyError, match="margins"):
        Rules.of({"margins": 0.02})
