"""The report's tables where runs are missing or damaged, entrants have gaps, or inputs cannot be used."""

import shutil

import numpy as np
import pandas as pd
import pytest
from alertgrid.dataset import read_catalogue, write_catalogue
from alertgrid.errors import StudyError
from alertgrid.predictions import read_predictions, write_predictions
from alertgrid.tables import write_tables
from alertgrid.tables.data import missing_values, refusals
from alertgrid.tables.testset import Incomplete, Part
from alertgrid.tables.write import read_grid
from generated_study import enter, inputs, make_study
from sklearn.metrics import roc_auc_score


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def copy(study, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    return tmp_path / "study"


def test_missing_and_damaged_runs_are_named_and_the_rest_goes_on(copy):
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
    _compared_at_one_seed(found)


def _compared_at_one_seed(found):
    """What lost a seed is compared at the other, which says nothing about how much seeds matter."""
    table, cell = found["differences"], "btsbot_cnn-none-fusion"
    lone = table[(table["cell"] == cell) & (table["fraction"] == 1) & (table["metric"] == "roc_auc")].iloc[0]
    values = found["metrics"].query("fraction == 1 and seed == 1 and split == 'test' and stratum == 'all'")
    values = values[values["metric"] == "roc_auc"].set_index("cell")["value"]
    assert lone["difference"] == pytest.approx(values[cell] - values[lone["reference"]])
    assert lone["low"] < lone["difference"] < lone["high"]
    assert lone["n_seeds"] == 1
    assert lone[["p", "p_holm", "detectable", "detectable_holm"]].isna().all()


def test_nothing_finished_still_makes_a_report(copy):
    shutil.rmtree(copy / "runs")
    found = write_tables(**inputs(copy), output=copy / "tables")
    assert len(found["missing"]) == 44
    assert set(found["claims"]["verdict"]) == {"not measured"}
    assert found["performance"].empty
    assert len(found["dataset_counts"])
    assert not (copy / "tables" / "latex" / "performance.tex").exists()


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
