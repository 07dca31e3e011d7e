"""What the report says of runs that are not in it: how they stand, why, and where the log is."""

from __future__ import annotations

import pandas as pd
import pytest
from alertgrid.files import write_csv, write_json, write_text
from alertgrid.tables.records import missing_table, read_records

CELL = "convnext_pico-none-image"
DONE, FAILED, LOGGED, WAITING = RUNS = [f"{CELL}/f1/s{seed}" for seed in range(4)]


@pytest.fixture
def study(tmp_path):
    """One run is done; of the failed ones Snakemake removed what they had made, their notes and logs stay."""
    grid = pd.DataFrame({"run": RUNS, "cell": CELL, "fraction": 1.0, "seed": range(4)})
    write_csv(tmp_path / "grid.csv", grid)
    write_json(tmp_path / "runs" / DONE / "run.json", {"epochs": 4, "wall_seconds": 9.0})
    write_text(tmp_path / "runs" / DONE / "history.csv", "epoch\n1\n")
    for run in (FAILED, LOGGED):
        write_text(tmp_path / "logs" / "train" / f"{run}.log", "epoch 1\nMemoryError: no room\n")
    write_json(tmp_path / "checkpoints" / FAILED / "failed.json", {"reason": "loss is NaN at step 12"})
    write_json(tmp_path / "checkpoints" / FAILED / "progress.json", {"epoch": 2, "epochs": 9})
    return tmp_path


def listed(study, more=()):
    """missing.csv of the study, by run."""
    grid = pd.read_csv(study / "grid.csv")
    problems = read_records(grid, study / "runs")[2]
    return missing_table([*problems, *more], grid, study).set_index("run")


def test_a_failed_run_is_listed_with_its_reason_and_log(study):
    found = listed(study)
    assert list(found.index) == [FAILED, LOGGED, WAITING]
    assert found["reason"].tolist() == [
        "failed after epoch 2: loss is NaN at step 12", "failed: MemoryError: no room", "has not started",
    ]  # fmt: skip
    assert found.loc[FAILED, "log"] == str(study / "logs" / "train" / f"{FAILED}.log")
    assert set(found["what"]) == {"run"}


def test_a_run_whose_files_went_with_those_of_another_run_is_no_failure(study):
    write_json(study / "checkpoints" / WAITING / "finished" / "run.json", {"epochs": 4, "wall_seconds": 9.0})
    assert "the next start brings them back" in listed(study).loc[WAITING, "reason"]


def test_a_failed_pretraining_is_listed_too(study):
    write_text(study / "logs" / "pretrain" / "convnext_pico-galaxies.log", "OSError: no space left\n")
    row = listed(study).loc["encoders/convnext_pico-galaxies"]
    assert (row["what"], row["reason"]) == ("encoder", "failed: OSError: no space left")


def test_what_is_wrong_with_files_is_said_as_it_is(study):
    (study / "runs" / DONE / "history.csv").write_text("a\n1\n")
    found = listed(study, [(DONE, "predictions.h5: damaged"), ("timing: x.csv", "cannot be read")])
    assert found.loc[DONE, "reason"] == "history.csv: cannot be read (no column epoch); predictions.h5: damaged"
    assert found.loc["timing: x.csv", ["what", "reason"]].tolist() == ["input", "cannot be read"]
