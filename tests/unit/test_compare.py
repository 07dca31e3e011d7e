"""Two finished studies compared: identical, changed, on other test objects, partly missing."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alertgrid.__main__ import main
from alertgrid.compare import Choices, write_comparison
from alertgrid.compare.command import add_compare_arguments, study_folder
from alertgrid.comparison import contrast, group, t_quantile
from alertgrid.dataset import read_catalogue, write_catalogue
from alertgrid.errors import StudyError
from alertgrid.files import read_json, write_csv, write_json
from alertgrid.predictions import read_predictions, write_predictions
from generated_study import load_generator
from scipy import special

CNN, CONVNEXT, META = "btsbot_cnn-none-image", "convnext_pico-none-image", "metadata_net-none-metadata"
LOST = "maxvit_tiny-none-image"


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """Six cells, two fractions, two seeds on 600 test alerts."""
    folder = tmp_path_factory.mktemp("results") / "before"
    load_generator().study(folder, Namespace(cells=6, fractions=2, seeds=2, alerts=600, per_source=6))
    return folder


@pytest.fixture
def after(before, tmp_path):
    """A copy to be changed."""
    return Path(shutil.copytree(before, tmp_path / "after"))


def change_scores(study: Path, cell: str, change) -> None:
    for path in (study / "runs" / cell).rglob("predictions.h5"):
        table = read_predictions(path)
        score = change(table["score"].to_numpy(), table["candid"].to_numpy())
        write_predictions(path, table["candid"], table["split"], score, {})


def change_records(study: Path, cell: str, change) -> None:
    for path in (study / "runs" / cell).rglob("run.json"):
        write_json(path, change(read_json(path)))


def drop_runs(study: Path, keep) -> None:
    grid = pd.read_csv(study / "grid.csv")
    write_csv(study / "grid.csv", grid[keep(grid)])


def of(table: pd.DataFrame, cell: str, metric: str = "roc_auc", fraction: float = 1.0) -> pd.Series:
    found = table[(table["cell"] == cell) & (table["metric"] == metric) & (table["fraction"] == fraction)]
    return found.iloc[0]


def test_a_study_equals_itself(before, after, tmp_path):
    tables = write_comparison(before, after, tmp_path / "out")
    table = tables["comparison"]
    defined = table["verdict"] != "not defined"
    assert (table.loc[defined, "verdict"] == "identical").all()
    assert (table.loc[defined, ["difference", "low", "high"]] == 0).all(axis=None)
    assert (table.loc[defined, "before"] == table.loc[defined, "after"]).all()
    assert tables["changes"].empty
    assert tables["lone_runs"].empty
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "Nothing that the run records hold" in text
    assert "12 identical" in text
    assert "paired over the same test objects, and over the seeds that both have" in text


def test_changed_scores_are_found_and_only_they(before, after, tmp_path):
    truth = read_catalogue(before / "catalogue.h5").set_index("candid")["label"]

    def spoil(score, candid):
        return special.expit(special.logit(score) - 2.5 * (truth.loc[candid].to_numpy() - 0.5))

    change_scores(after, CONVNEXT, spoil)
    table = write_comparison(before, after, tmp_path / "out")["comparison"]
    row = of(table, CONVNEXT)
    assert row["difference"] == pytest.approx(row["after"] - row["before"])
    assert row["high"] < 0
    assert (row["verdict"], row["paired"]) == ("lower", "yes")
    assert of(table, META)["verdict"] == "identical"
    known = table[~table["metric"].isin(["ece", "ece_calibrated"])]
    assert (known["before_low"] <= known["before"]).all()
    assert of(table, CONVNEXT, "brier")["verdict"] == "higher"


def test_other_test_objects_are_not_paired(before, after, tmp_path):
    before = Path(shutil.copytree(before, tmp_path / "before"))
    for folder in (before, after):
        drop_runs(folder, lambda grid: grid["seed"] == 0)  # so that intervals hold the test sources alone
    rows = read_catalogue(after / "catalogue.h5")
    test = rows.index[rows["split"] == "test"]
    rows.loc[test[:30], "split"] = "train"
    write_catalogue(after / "catalogue.h5", rows)
    tables = write_comparison(before, after, tmp_path / "out")
    table = tables["comparison"]
    assert (table["paired"] == "no").all()
    assert set(table["verdict"]) == {"undecided", "not defined"}
    assert table["p"].isna().all()
    row = of(table, META)
    errors = []
    for side in ("before", "after"):
        low, high = special.logit(row[[f"{side}_low", f"{side}_high"]].astype(float))
        # Two samples alike: the difference has twice the degrees of freedom that each has.
        errors.append((high - low) / 2 / t_quantile(0.975, row["df"] / 2) * row[side] * (1 - row[side]))
    assert row["se"] == pytest.approx(np.hypot(*errors), rel=0.05)
    splits = tables["splits"].set_index("split")
    assert splits.loc["test", ["alerts_before", "alerts_after", "alerts_in_both"]].tolist() == [600, 570, 570]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "the test sets differ (30 alerts only before, 0 only after)" in page


@pytest.mark.parametrize(("column", "word"), [("label", "labels"), ("objectId", "objects")])
def test_changed_labels_or_objects_forbid_pairing(before, after, tmp_path, column, word):
    rows = read_catalogue(after / "catalogue.h5")
    first = rows.index[rows["split"] == "test"][0]
    rows.loc[first, column] = 1 - rows.loc[first, "label"] if column == "label" else "ZTFelsewhere"
    write_catalogue(after / "catalogue.h5", rows)
    tables = write_comparison(before, after, tmp_path / "out")
    assert (tables["comparison"]["paired"] == "no").all()
    assert tables["splits"]["labels_changed"].sum() == (column == "label")
    assert f"1 test alerts have other {word}" in (tmp_path / "out" / "comparison.md").read_text()


def test_what_only_one_has_and_what_else_differs(before, after, tmp_path):
    drop_runs(after, lambda grid: (grid["cell"] != LOST) & ~((grid["cell"] == CNN) & (grid["seed"] == 1)))
    change_records(after, META, lambda record: record | {"settings": {"training": {"batch_size": 128, "new": [1, 2]}}})
    change_records(after, CONVNEXT, lambda record: record | {"git_revision": "abc", "versions": {"torch": "1"}})
    (after / "runs" / META / "f1" / "s0" / "predictions.h5").write_bytes(b"damaged")
    tables = write_comparison(before, after, tmp_path / "out", names=("old", "new"))
    assert LOST not in set(tables["comparison"]["cell"])
    lone = tables["lone_runs"].set_index(["cell", "fraction"])
    assert lone.loc[(LOST, 1.0)].tolist() == ["0, 1", "", "before"]
    assert lone.loc[(CNN, 1.0)].tolist() == ["0, 1", "0", ""]
    assert lone.loc[(META, 1.0), "seeds_after"] == "1"
    common = of(tables["comparison"], CNN)
    assert common[["n_seeds", "n_seeds_before", "n_seeds_after"]].tolist() == [1, 2, 1]
    assert common["difference"] == 0  # the seed that both have is the same; the means over seeds are not
    assert common["before"] != common["after"]
    changes = tables["changes"].set_index("what")
    assert changes.loc["settings.training.batch_size", ["before", "after", "n_runs"]].tolist() == ["64", "128", 4]
    assert changes.loc["settings.training.new", ["before", "after"]].tolist() == ["", "[1, 2]"]
    assert changes.loc["git_revision", "after"] == "abc"
    assert tables["missing"][["study", "run"]].to_numpy().tolist() == [["new", f"{META}/f1/s0"]]
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "seeds before: 0, 1; after: none" in text
    assert f"new: 1 runs could not be judged, first {META}/f1/s0 (predictions.h5" in text


def test_every_column_is_explained_and_the_page_stands_alone(before, after, tmp_path):
    change_scores(after, CNN, lambda score, candid: score**2)
    tables = write_comparison(before, after, tmp_path / "out", metrics=["f1"], choices=Choices(threshold="f1"))
    assert tables["data_dictionary"]["meaning"].str.len().min() > 0
    for name, frame in tables.items():
        assert list(pd.read_csv(tmp_path / "out" / f"{name}.csv")) == list(frame)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # the figure at page and at column width
    assert 'src="http' not in page
    assert "<h3>F1</h3>" in page
    # The order of the scores is the same, so is the threshold's choice by F1.
    assert of(tables["comparison"], CNN)["difference"] == pytest.approx(0, abs=1e-12)


def test_unusable_studies_are_refused(before, after, tmp_path):
    with pytest.raises(StudyError, match="holds no study"):
        write_comparison(before, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(StudyError, match="unknown"):
        write_comparison(before, after, tmp_path / "out", metrics=["unknown"])
    shutil.rmtree(after / "runs")
    with pytest.raises(StudyError, match="no finished run"):
        write_comparison(before, after, tmp_path / "out")


def test_studies_without_a_common_cell_are_refused(before, after, tmp_path):
    drop_runs(after, lambda grid: grid["cell"] == CNN)
    other = Path(shutil.copytree(before, tmp_path / "other"))
    drop_runs(other, lambda grid: grid["cell"] == META)
    with pytest.raises(StudyError, match="no cell in common"):
        write_comparison(after, other, tmp_path / "out")


def test_runs_without_records_are_still_compared(before, after, tmp_path):
    for path in after.rglob("run.json"):
        path.unlink()
    tables = write_comparison(before, after, tmp_path / "out")
    assert tables["changes"].empty
    assert (tables["comparison"]["verdict"] == "identical").any()


def test_independent_samples_add_their_variances():
    rng = np.random.default_rng(0)
    sizes = (50, 80)
    groups = [group([0.9], [rng.normal(0, 0.01, n)], np.arange(n) % 2 == 0, n // 2) for n in sizes]
    own = [contrast([(1.0, member)]) for member in groups]
    found = contrast([(1.0, groups[0]), (-1.0, groups[1])], paired=False)
    assert found.se == pytest.approx(np.hypot(own[0].se, own[1].se))
    assert min(one.df for one in own) < found.df < sum(one.df for one in own)


def test_command_finds_studies_by_name_and_says_where_the_page_is(before, after, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(before, tmp_path / "results" / "demo")
    assert study_folder("demo") == Path("results/demo")
    assert study_folder(str(after)) == after
    assert main(["compare", "demo", str(after), "--metric", "f1", "--threshold", "0.4"]) == 0
    out = capsys.readouterr().out
    assert "# demo (before) and after (after)" in out
    assert Path("results/compared/demo-after/index.html").is_file()
    shutil.move(after, tmp_path / "demo")
    assert main(["compare", "demo", str(tmp_path / "demo")]) == 0
    assert len(list(Path("results/compared").iterdir())) == 2


def test_threshold_is_a_number_or_a_metric():
    parser = ArgumentParser()
    add_compare_arguments(parser)
    assert parser.parse_args(["a", "b", "--threshold", "0.3"]).threshold == 0.3
    assert parser.parse_args(["a", "b", "--threshold", "mcc"]).threshold == "mcc"
