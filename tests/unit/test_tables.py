"""The report's tables from a small finished study, whole, damaged and partly missing."""

import importlib.util
import json
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alertgrid.dataset import read_catalogue, write_catalogue
from alertgrid.errors import StudyError
from alertgrid.predictions import read_predictions, write_predictions
from alertgrid.tables import SCHEMAS, write, write_tables
from alertgrid.tables import latex as latex_tables
from alertgrid.tables.data import missing_values, refusals
from alertgrid.tables.testset import Incomplete, Part
from alertgrid.tables.write import read_grid
from sklearn.metrics import f1_score, roc_auc_score


def load_generator():
    """The generated study of benchmarks/report_scale.py."""
    path = Path(__file__).parents[2] / "benchmarks" / "report_scale.py"
    spec = importlib.util.spec_from_file_location("report_scale", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of 11 cells, 2 fractions, 2 seeds on 900 test alerts."""
    folder = tmp_path_factory.mktemp("study")
    load_generator().study(folder, Namespace(cells=11, fractions=2, seeds=2, alerts=900, per_source=9))
    return folder


def inputs(folder):
    return {"catalogue": folder / "catalogue.h5", "grid": folder / "grid.csv", "runs": folder / "runs"}


@pytest.fixture(scope="module")
def tables(study):
    own = {"name": "keen", "alerts": 1, "score": 0.2}
    options = {"external": ["other_score"], "policies": [own], "threshold": "f1", "replicates": 100}
    return write_tables(**inputs(study), output=study / "tables", **options)


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


def test_policies_bins_and_counts(tables):
    table = tables["policies"].query("cell == 'btsbot_cnn-none-image' and fraction == 1")
    assert set(table["policy"]) == {"bts_p1", "bts_p2", "prod_p1", "prod_p2", "keen"}
    assert len(table) == 5 * 7 * 5
    assert table["estimate"].between(0, 1)[table["metric"].isin(["completeness", "purity", "f1"])].mean() > 0.5
    whole = table.query("stratum == 'all' and metric == 'completeness'").set_index("policy")
    assert whole.loc["keen", "estimate"] >= whole.loc["bts_p1", "estimate"] >= whole.loc["bts_p2", "estimate"]


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


def test_missing_and_damaged_runs_are_named_and_the_rest_goes_on(copy, tables):
    runs = copy / "runs"
    first = runs / "convnext_pico-none-image" / "f1"
    shutil.rmtree(first / "s0")
    (first / "s1" / "predictions.h5").write_bytes(b"cut off")
    second = runs / "maxvit_tiny-none-image" / "f1"
    (second / "s0" / "run.json").write_text("{")
    (second / "s1" / "run.json").write_text("[]")
    (second / "s0" / "history.csv").write_text("")
    (second / "s1" / "history.csv").write_text("a,b\n1,2\n")
    third = runs / "btsbot_cnn-none-fusion" / "f1" / "s0" / "predictions.h5"
    frame = read_predictions(third)
    kept = frame[frame["candid"] != frame.query("split == 'test'")["candid"].iloc[0]]
    write_predictions(third, kept["candid"], kept["split"], kept["score"], {})
    absent = [copy / "nowhere.csv", copy / "bad.csv"]
    absent[1].write_text("a\n1\n")
    found = write_tables(**inputs(copy), output=copy / "tables", timing=absent, encoders=absent)
    kinds = found["missing"].set_index("run")["what"]
    assert kinds.groupby(kinds).size().to_dict() == {"input": 6, "run": 5}
    missing = found["missing"].set_index("run")["reason"]
    assert missing["convnext_pico-none-image/f1/s0"] == "has not started"
    assert "cannot be read" in missing["convnext_pico-none-image/f1/s1"]
    assert "run.json" in missing["maxvit_tiny-none-image/f1/s0"]
    assert "history.csv" in missing["maxvit_tiny-none-image/f1/s0"]
    assert "no column epoch" in missing["maxvit_tiny-none-image/f1/s1"]
    assert "no score for 1 of 900 alerts" in missing["btsbot_cnn-none-fusion/f1/s0"]
    assert {"timing: nowhere.csv", "encoders: study/bad.csv", "encoder_history: study/history.csv"} <= set(
        missing.index
    )
    gone = found["performance"].query("cell == 'convnext_pico-none-image' and fraction == 1")
    assert gone.empty
    half = found["performance"].query("cell == 'btsbot_cnn-none-fusion' and fraction == 1")
    assert set(half["n_seeds"]) == {1}
    assert half["method"][half["low"].notna()].str.contains("one seed").all()


def test_nothing_finished_still_makes_a_report(copy):
    shutil.rmtree(copy / "runs")
    found = write_tables(**inputs(copy), output=copy / "tables")
    assert len(found["missing"]) == 44
    assert set(found["claims"]["verdict"]) == {"not measured"}
    assert found["performance"].empty
    assert len(found["dataset_counts"])
    assert not (copy / "tables" / "latex" / "performance.tex").exists()


def test_two_processes_give_the_same_tables(study, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "WORTH_PROCESSES", 0)
    options = {"external": ["other_score"], "policies": [{"name": "keen", "score": 0.2}], "threshold": "f1"}
    found = write_tables(**inputs(study), output=tmp_path, workers=2, replicates=100, **options)
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(found[name], frame)


def test_external_scores_with_gaps_are_judged_where_they_exist(copy):
    catalogue = read_catalogue(copy / "catalogue.h5")
    catalogue.loc[catalogue.index[::3], "other_score"] = np.nan
    write_catalogue(copy / "catalogue.h5", catalogue)
    found = write_tables(**inputs(copy), output=copy / "tables", external=["other_score"])
    rows = found["performance"].query("cell == 'other_score'")
    assert (rows["n_alerts"] == 600).all()
    test = catalogue[(catalogue["split"] == "test") & catalogue["other_score"].notna()]
    strata = found["metrics"].query("cell == 'other_score' and split == 'test'").drop_duplicates("stratum")
    strata = strata.set_index("stratum")
    assert strata.loc["all", "n_alerts"] == 600
    green = test[test["fid"] == 1]
    sizes = [len(green), green["objectId"].nunique(), green["label"].sum()]
    assert list(strata.loc["band=g", ["n_alerts", "n_sources", "n_positive"]]) == sizes
    expected = roc_auc_score(test["label"], test["other_score"])
    assert rows.set_index("metric").loc["roc_auc", "estimate"] == pytest.approx(expected)
    assert "external" not in set(found["differences"]["kind"])
    assert "other_score" not in set(found["policies"]["cell"])
    assert "other_score" in found["missing"]["run"].iloc[0]


def enter(folder, name, scores, catalogue):
    """Predictions and record of a published model, as the workflow leaves them."""
    rows = catalogue["split"].isin(["val", "test"])
    columns = (catalogue.loc[rows, key].to_numpy() for key in ("candid", "split"))
    write_predictions(folder / "entrants" / name / "predictions.h5", *columns, scores[rows.to_numpy()], {"cell": name})
    record = {"cell": name, "origin": "hub:a/b", "n_alerts": int(rows.sum()), "wall_seconds": 2.0, "device": "cpu"}
    (folder / "entrants" / name / "run.json").write_text(json.dumps(record))
    return folder / "entrants" / name / "predictions.h5"


def test_a_published_model_is_judged_as_the_same_scores_in_the_catalogue(copy):
    catalogue = read_catalogue(copy / "catalogue.h5")
    path = enter(copy, "published", catalogue["other_score"].to_numpy(), catalogue)
    found = write_tables(**inputs(copy), output=copy / "tables", external=["other_score"], entrants=[path])
    for name in ("performance", "policies", "calibration"):
        first, second = (
            found[name][found[name]["cell"] == cell].drop(columns="cell").reset_index(drop=True)
            for cell in ("other_score", "published")
        )
        assert len(first)
        pd.testing.assert_frame_equal(first, second)
    kinds = found["differences"].query("kind == 'external'")
    assert set(kinds["cell"]) == {"other_score", "published"}
    assert found["entrants"].iloc[0]["origin"] == "hub:a/b"


def test_a_damaged_entrant_is_named_and_left_out(copy):
    catalogue = read_catalogue(copy / "catalogue.h5")
    path = enter(copy, "published", catalogue["other_score"].to_numpy(), catalogue)
    path.write_bytes(b"")
    path.with_name("run.json").write_text("[]")
    found = write_tables(**inputs(copy), output=copy / "tables", entrants=[path])
    assert "published" not in set(found["performance"]["cell"])
    assert found["missing"]["run"].str.contains("published|entrants").sum() == 2
    twin = enter(copy, "other_score", catalogue["other_score"].to_numpy(), catalogue)
    with pytest.raises(StudyError, match=r"is in report\.external too"):
        write_tables(**inputs(copy), output=copy / "tables", external=["other_score"], entrants=[twin])


def test_unusable_inputs_are_refused_with_their_name(copy):
    arguments = inputs(copy)
    with pytest.raises(StudyError, match="no_such_score"):
        write_tables(**arguments, output=copy / "tables", external=["no_such_score"])
    (copy / "grid.csv").write_text("run,cell\n")
    with pytest.raises(StudyError, match="no column architecture"):
        write_tables(**arguments, output=copy / "tables")
    with pytest.raises(StudyError, match="cannot be read"):
        read_grid(copy / "absent.csv")
    empty = read_catalogue(copy / "catalogue.h5").assign(split="train")
    write_catalogue(copy / "catalogue.h5", empty)
    (copy / "grid.csv").write_text("run,cell,architecture,pretraining,inputs,stamps,labels,fraction,seed\n")
    with pytest.raises(StudyError, match="no test alert"):
        write_tables(**arguments, output=copy / "tables")


def test_impossible_settings_are_refused_by_key(study, tmp_path):
    wrong = {
        "report.levels": {"levels": 0.9},
        "report.level": {"level": 1.5},
        "report.compared": {"compared": ["auc"]},
        "report.policies": {"policies": [{"name": "a", "magnitudes": 19}]},
        "report.claims.margins": {"claims": {"margins": 1}},
    }
    for key, settings in wrong.items():
        with pytest.raises(StudyError) as caught:
            write_tables(**inputs(study), output=tmp_path, **settings)
        assert caught.value.where == key


def test_alignment_by_candid(study):
    rows = read_catalogue(study / "catalogue.h5").query("split == 'test'").reset_index(drop=True)
    part = Part.of(rows, [18.0, 19.0])
    order = np.random.default_rng(0).permutation(len(rows))
    score = np.linspace(0, 1, len(rows))
    np.testing.assert_array_equal(part.align(part.candid[order], score[order]), score)
    with pytest.raises(Incomplete, match="not numbers"):
        part.align(part.candid, np.full(len(rows), np.nan))
    with pytest.raises(Incomplete, match="no score for"):
        part.align(np.zeros(0, int), np.zeros(0))


def test_missing_values_count_sentinels_and_gaps(tmp_path):
    frame = pd.DataFrame({"a": [1.0, np.nan, -999.0], "b": ["x", "", "y"], "order_0": [0.1, np.nan, 0.2]})
    found = missing_values(frame, None).set_index("column")
    assert list(found.loc["a", ["n_missing", "n_sentinel"]]) == [2, 1]
    assert found.loc["b", "n_missing"] == 1
    assert "order_0" not in found.index


def test_refusals_are_counted_by_reason(tmp_path):
    path = tmp_path / "refused.csv"
    path.write_text("file,row,candid,object_id,reason\na.avro,1,5,Z,broken\nb.avro,2,,,broken\nc.csv,3,,,all zero\n")
    found = refusals(path).set_index("reason")
    assert found.loc["broken", "n_alerts"] == 2
    assert found.loc["broken", "first_file"] == "a.avro"
    assert refusals(None).empty


def test_latex_tables(study, tables):
    text = (study / "tables" / "latex" / "performance.tex").read_text()
    assert r"btsbot\_cnn-none-image" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert "95 \\%" in text
    assert (study / "tables" / "latex" / "differences.tex").exists()
    assert (study / "tables" / "latex" / "policies.tex").exists()
    assert latex_tables.with_interval(0.91234, 0.9, 0.93) == r"$0.912\,[0.900, 0.930]$"
    assert latex_tables.with_interval(np.nan, 0, 1) == "--"
    assert latex_tables.with_interval(0.5, np.nan, 1) == "0.500"
