"""Contact sheet and gallery of right and wrong examples: which alerts, at which threshold, of which run."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from alertgrid import figures
from alertgrid.errors import StudyError
from alertgrid.figures.gallery import best_examples, best_run
from alertgrid.figures.sheet import stretch
from alertgrid.predictions import read_predictions, write_predictions


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The files of the synthetic study."""
    return synthetic_study.write_study(tmp_path_factory.mktemp("study"), count=120)


def test_stretch_ignores_padding_and_stays_in_range():
    generator = np.random.default_rng(0)
    stamp = generator.normal(1, 0.1, (63, 63))
    stamp[:, 50:] = 1e-9
    scaled = stretch(stamp)
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert 0.3 < np.median(scaled[:, :50]) < 0.7
    assert stretch(np.zeros((63, 63))).max() == 0


def test_contact_sheet_and_examples(study, tmp_path):
    paths = study
    sheet = figures.contact_sheet(paths["dataset.h5"], tmp_path / "sheet", per_class=3, description="split")
    assert "12 of 120 alerts" in sheet["figures"]["contact_sheet"]["caption"]
    again = figures.contact_sheet(paths["dataset.h5"], tmp_path / "again", per_class=3, description="split")
    assert sheet == again
    for name in ("contact_sheet.pdf", "contact_sheet.png"):
        assert (tmp_path / "sheet" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    found = figures.example_gallery(
        paths["dataset.h5"], paths["predictions.h5"], tmp_path / "examples", run="cell/f1/s0", count=2
    )
    caption = found["figures"]["examples"]["caption"]
    judged = read_predictions(paths["predictions.h5"]).merge(synthetic_study.catalogue(120), on=["candid", "split"])
    test = judged[judged["split"] == "test"]
    wrong = ((test["label"] == 0) & (test["score"] > 0.5)).sum()
    assert f"among {len(test):,} test alerts" in caption
    assert f"{wrong:,} false positives" in caption
    assert "run cell/f1/s0" in caption


def test_examples_of_another_dataset_are_refused(study, tmp_path):
    write_predictions(tmp_path / "p.h5", np.array([5]), np.array(["test"]), np.array([0.3]), {})
    with pytest.raises(StudyError, match="has no test alert of this dataset"):
        figures.example_gallery(study["dataset.h5"], tmp_path / "p.h5", tmp_path / "x", run="a")


def test_best_run_is_chosen_on_validation(tmp_path):
    runs = pd.DataFrame({"run": ["a", "b", "c"], "inputs": ["image", "image", "fusion"], "labels": "given"})
    runs.assign(val_auc=[0.8, 0.9, 0.95]).to_csv(tmp_path / "runs.csv", index=False)
    assert best_run(tmp_path) == "b"
    runs.assign(val_auc=np.nan).to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(StudyError, match="no image run has finished"):
        best_run(tmp_path)


def test_examples_are_judged_at_the_threshold_of_the_report(study, tmp_path):
    run = {"cell": "a-none-image", "fraction": 1.0, "seed": 0}
    pd.DataFrame([{**run, "threshold": 0.62}, {**run, "seed": 1, "threshold": 0.4}]).to_csv(
        tmp_path / "metrics.csv", index=False
    )
    row = {"run": "a-none-image/f1/s0", "inputs": "image", "labels": "given", "val_auc": 0.9}
    pd.DataFrame([row]).to_csv(tmp_path / "runs.csv", index=False)
    folder = tmp_path / "runs" / row["run"]
    folder.mkdir(parents=True)
    shutil.copy(study["predictions.h5"], folder / "predictions.h5")
    found = best_examples(study["dataset.h5"], tmp_path, tmp_path / "runs", tmp_path / "examples")
    assert "at a threshold of 0.62" in found["figures"]["examples"]["caption"]
    (tmp_path / "metrics.csv").write_text("cell,fraction,seed,threshold\n")
    found = best_examples(study["dataset.h5"], tmp_path, tmp_path / "runs", tmp_path / "examples")
    assert "no row of run a-none-image/f1/s0" in found["skipped"]["examples"]


def test_a_report_without_runs_says_that_it_has_no_examples(tmp_path):
    (tmp_path / "runs.csv").write_text("")
    captions = best_examples(tmp_path / "dataset.h5", tmp_path, tmp_path, tmp_path / "examples")
    assert "no image run has finished" in captions["skipped"]["examples"]
