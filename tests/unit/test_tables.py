"""The report's tables from a small finished study."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from alertgrid.dataset import read_catalogue
from alertgrid.predictions import read_predictions
from alertgrid.tables import SCHEMAS, write, write_tables
from generated_study import OPTIONS, inputs, make_study
from sklearn.metrics import f1_score, roc_auc_score


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def tables(study):
    return write_tables(**inputs(study), output=study / "tables", **OPTIONS)


@pytest.fixture
def copy(study, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    return tmp_path / "study"


def test_every_table_is_written_with_its_columns_explained(study, tables):
    for name, columns in SCHEMAS.items():
        written = pd.read_csv(study / "tables" / f"{name}.csv")
        assert list(written)[: len(columns)] == list(columns), name
    dictionary = pd.read_csv(study / "tables" / "data_dictionary.csv")
    assert dictionary["meaning"].str.len().min() > 0
    explained = set(zip(dictionary["table"], dictionary["column"], strict=True))
    for name, frame in tables.items():
        if name != "data_dictionary":
            assert {(name, column) for column in frame} <= explained
    assert {"runs", "settings.training.batch_size"} <= set(dictionary["column"]) | {"runs"}


def test_every_interval_says_its_level_method_and_n(tables):
    for name in ("performance", "efficiency", "differences", "multiplier", "policies", "claims"):
        ends = tables[name][tables[name]["low"].notna()]
        if name == "claims":
            ends = ends[ends["claim"] != "3"]  # costs: one measurement, whose spread is that of repeated calls
        assert len(ends), name
        assert ends[["level", "method", "n_seeds", "n_sources"]].notna().all(axis=None), name
        assert (ends[["n_seeds", "n_sources"]] > 0).all(axis=None), name


def test_whole_study_misses_nothing(tables):
    assert tables["missing"].empty
    assert len(tables["runs"]) == 44
    assert tables["runs"]["versions.torch"].astype(str).eq("0").all()
    assert len(tables["history"]) == 44 * 25


def test_values_are_those_of_the_predictions(study, tables):
    run = "convnext_pico-none-image/f1/s1"
    scores = read_predictions(study / "runs" / run / "predictions.h5")
    rows = read_catalogue(study / "catalogue.h5").merge(scores, on=["candid", "split"])
    test = rows[rows["split"] == "test"]
    found = tables["metrics"].query("cell == 'convnext_pico-none-image' and fraction == 1 and seed == 1")
    found = found[found["split"] == "test"].set_index(["stratum", "metric"])
    whole = found.loc[("all", "roc_auc")]
    assert whole["value"] == pytest.approx(roc_auc_score(test["label"], test["score"]))
    assert (whole["n_alerts"], whole["n_sources"]) == (900, test["objectId"].nunique())
    assert whole["n_positive"] == test["label"].sum()
    green = test[test["fid"] == 1]
    at = whole["threshold"]
    assert found.loc[("band=g", "f1"), "value"] == pytest.approx(f1_score(green["label"], green["score"] > at))
    faint = test[(test["magpsf"] >= 19) & (test["magpsf"] < 19.25)]
    assert found.loc[("mag=19.00-19.25", "accuracy"), "n_alerts"] == len(faint)
    empty = found.loc[("set=vars", "roc_auc")]
    assert np.isnan(empty["value"])
    assert empty["reason"] == "one class only"


def test_threshold_comes_from_validation_alone(study, tables):
    found = tables["metrics"].query("split == 'val' and metric == 'f1' and stratum == 'all'")
    for row in found.sample(2, random_state=0).itertuples():
        path = study / "runs" / row.cell / f"f{row.fraction:g}" / f"s{row.seed}" / "predictions.h5"
        rows = read_catalogue(study / "catalogue.h5").merge(read_predictions(path), on=["candid", "split"])
        val = rows[rows["split"] == "val"]
        best = max(f1_score(val["label"], val["score"] > t, zero_division=0) for t in np.append(val["score"], -1))
        assert row.value == pytest.approx(best)


def test_estimate_is_the_mean_over_seeds_within_its_interval(tables):
    per_run = tables["metrics"].query("split == 'test' and stratum == 'all'")
    means = per_run.groupby(["cell", "fraction", "metric"])["value"].mean()
    table = tables["performance"].set_index(["cell", "fraction", "metric"])
    pd.testing.assert_series_equal(table["estimate"].sort_index(), means.sort_index(), check_names=False)
    ends = table.drop(["ece", "ece_calibrated"], level="metric")
    assert (ends["low"] <= ends["estimate"]).all()
    assert (ends["estimate"] <= ends["high"]).all()
    assert table["low"].min() >= -1
    assert table["high"].max() <= 1


def test_calibration_error_stands_beside_what_chance_gives_and_has_no_interval(tables):
    table = tables["performance"].set_index("metric")
    for name in ("ece", "ece_calibrated"):
        assert table.loc[name, ["low", "high"]].isna().all(axis=None)
        assert table.loc[name, "method"].str.contains("biased by chance").all()
    assert (table.loc["ece_calibrated", "estimate"] > 0).all()
    meaning = tables["data_dictionary"].query("table == 'performance' and column == 'metric'")["meaning"].item()
    assert "ece_calibrated" in meaning


def test_external_entrant_stands_beside_the_networks(tables):
    rows = tables["performance"].query("cell == 'other_score'")
    assert set(rows["architecture"]) == {"external"}
    assert rows["method"][rows["low"].notna()].str.contains("given model").all()
    assert "external" in set(tables["differences"]["kind"])
    assert "other_score" in set(tables["policies"]["cell"])
    assert "other_score" not in set(tables["efficiency"]["cell"])


def test_permuted_control_is_judged_and_not_compared(tables):
    cell = "btsbot_cnn-none-image-permuted"
    row = tables["performance"].query("cell == @cell and metric == 'roc_auc' and fraction == 1").iloc[0]
    assert row["low"] <= 0.5 <= row["high"]
    assert cell not in set(tables["differences"]["cell"]) | set(tables["differences"]["reference"])
    assert cell not in set(tables["efficiency"]["cell"])


def test_differences_name_every_kind_and_are_corrected(tables):
    table = tables["differences"]
    assert set(table["kind"]) == {"baseline", "pretraining", "stamps", "inputs", "external"}
    pairs = set(table[["kind", "cell", "reference"]].itertuples(index=False, name=None))
    assert ("baseline", "convnext_pico-none-image", "btsbot_cnn-none-image") in pairs
    assert ("pretraining", "convnext_pico-galaxyzoo-image", "convnext_pico-imagenet-image") in pairs
    assert ("pretraining", "convnext_pico-galaxyzoo-image", "convnext_pico-none-image") in pairs
    assert ("stamps", "convnext_pico-none-image-science_template", "convnext_pico-none-image") in pairs
    assert ("inputs", "convnext_pico-none-fusion", "metadata_net-none-metadata") in pairs
    assert ("inputs", "convnext_pico-none-fusion", "convnext_pico-none-image") in pairs
    assert (table["cell"] != table["reference"]).all()
    assert (table["p_holm"] >= table["p"]).all()
    assert (table["detectable_holm"] > table["detectable"]).all()
    values = tables["performance"].set_index(["cell", "fraction", "metric"])["estimate"]
    row = table.iloc[3]
    expected = (
        values[row["cell"], row["fraction"], row["metric"]] - values[row["reference"], row["fraction"], row["metric"]]
    )
    assert row["difference"] == pytest.approx(expected)


def test_efficiency_and_multiplier_use_the_recorded_sizes(tables):
    sizes = tables["efficiency"].groupby("fraction")["n_train_sources"].unique()
    assert {fraction: list(values) for fraction, values in sizes.items()} == {0.03: [1200], 1.0: [40000]}
    assert set(tables["multiplier"]["reference"]) == {"convnext_pico-none-image", "maxvit_tiny-none-image"}
    assert set(tables["multiplier"]["status"]) <= {"reached", "at least", "not reached"}


def test_strata_have_intervals_at_the_largest_fraction(study, tables):
    table = tables["strata"]
    assert set(table["fraction"]) == {1.0}
    assert {"band=g", "set=vars", "mag=19.00-19.25"} <= set(table["stratum"])
    cell = "convnext_pico-none-image"
    per_run = tables["metrics"].query("cell == @cell and fraction == 1 and split == 'test' and stratum != 'all'")
    means = per_run.groupby(["stratum", "metric"])["value"].mean()
    own = table[table["cell"] == cell].set_index(["stratum", "metric"])
    pd.testing.assert_series_equal(
        own["estimate"].sort_index(), means.loc[own.index].sort_index(), check_names=False, check_index_type=False
    )
    accuracy = own.loc[("set=vars", "accuracy")]
    assert accuracy["low"] < accuracy["estimate"] < accuracy["high"]
    counts = per_run.query("seed == 0 and metric == 'accuracy'").set_index("stratum")
    assert accuracy["n_sources"] == counts.loc["set=vars", "n_sources"]
    assert accuracy["n_alerts"] == counts.loc["set=vars", "n_alerts"]


def test_scores_against_magnitude_are_those_of_the_alerts(study, tables):
    cell = "convnext_pico-none-image"
    scores = [read_predictions(study / "runs" / cell / "f1" / f"s{seed}" / "predictions.h5") for seed in (0, 1)]
    rows = read_catalogue(study / "catalogue.h5").merge(pd.concat(scores), on=["candid", "split"])
    chosen = rows.query("split == 'test' and label == 1 and 18.25 <= magpsf < 18.5")["score"]
    found = tables["magnitude_scores"].query("cell == @cell and stratum == 'mag=18.25-18.50' and label == 1").iloc[0]
    expected = np.quantile(chosen, [0.16, 0.5, 0.84])
    np.testing.assert_allclose(found[["score_low", "score", "score_high"]].to_numpy(float), expected)
    assert (found["n_alerts"], found["n_seeds"]) == (len(chosen) / 2, 2)


def test_policies_bins_and_counts(tables):
    table = tables["policies"].query("cell == 'btsbot_cnn-none-image' and fraction == 1")
    assert set(table["policy"]) == {"bts_p1", "bts_p2", "prod_p1", "prod_p2", "keen"}
    assert len(table) == 5 * 7 * 5
    assert table["estimate"].between(0, 1)[table["metric"].isin(["completeness", "purity", "f1"])].mean() > 0.5
    whole = table.query("stratum == 'all' and metric == 'completeness'").set_index("policy")
    assert whole.loc["keen", "estimate"] >= whole.loc["bts_p1", "estimate"] >= whole.loc["bts_p2", "estimate"]
    # A delay rests on the true sources that were saved: fewer than count, and no interval where they are below six.
    delay = table.query("metric == 'delay_days'").set_index(["policy", "stratum"])
    counted = table.query("metric == 'completeness'").set_index(["policy", "stratum"])["n_sources"]
    assert (delay["n_sources"] <= counted).all()
    assert delay.loc[("keen", "all"), "n_sources"] < counted["keen", "all"]
    assert (delay["n_sources"] < 6).equals(delay["low"].isna())
    assert delay.loc[delay["estimate"].notna() & delay["low"].isna(), "method"].str.contains("fewer than 6").all()


def test_calibration_counts_every_alert_of_every_seed(tables):
    assert (tables["calibration"].groupby(["cell", "fraction"])["n_alerts"].sum().drop("other_score") == 1800).all()


def test_cost_is_summed_and_gpu_hours_only_for_gpus(copy):
    for number, path in enumerate(sorted((copy / "runs" / "btsbot_cnn-none-image" / "f1").glob("*/run.json"))):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "device": "cuda:0", "wall_seconds": 3600.0 * (number + 1)}))
    cost = write_tables(**inputs(copy), output=copy / "tables")["training_cost"].set_index(["cell", "fraction"])
    row = cost.loc[("btsbot_cnn-none-image", 1.0)]
    assert (row["gpu_hours"], row["wall_seconds"], row["n_runs"]) == (3.0, 5400.0, 2)
    assert row["peak_memory_mb"] == 2048
    assert cost.loc[("btsbot_cnn-none-image", 0.03), "gpu_hours"] == 0


def test_two_processes_give_the_same_tables(study, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "WORTH_PROCESSES", 0)
    found = write_tables(**inputs(study), output=tmp_path, workers=2, **OPTIONS)
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(found[name], frame)
