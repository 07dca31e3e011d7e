"""Status: what files alone say about every run."""

import argparse
import os

import pandas as pd
import pytest
from alertgrid import locks, status
from alertgrid.errors import StudyError
from alertgrid.files import write_json, write_text

RUNS = [f"btsbot_cnn-none-image/f1/s{seed}" for seed in range(6)]
NOW = 1_000_000.0


@pytest.fixture
def study(tmp_path):
    """Six runs: done, running, just started, failed with a log, failed without one, waiting."""
    folder = tmp_path / "results" / "toy"
    folder.mkdir(parents=True)
    pd.DataFrame({"run": RUNS, "cell": "btsbot_cnn-none-image"}).to_csv(folder / "grid.csv", index=False)
    write_json(folder / "runs" / RUNS[0] / "run.json", {"epochs": 8, "wall_seconds": 1800.0, "device": "cuda"})
    started = {"epoch": 2, "epochs": 10, "seconds": 720.0, "device": "cuda", "updated": NOW - 100}
    write_json(folder / "checkpoints" / RUNS[1] / "progress.json", started)
    for run in RUNS[1:3]:
        write_text(folder / "checkpoints" / run / "lock.json", "{}")
    write_text(folder / "logs" / "fuse" / f"{RUNS[3]}.log", "epoch 1\nStudyError: loss is NaN at step 12\n\n")
    write_json(folder / "checkpoints" / RUNS[4] / "progress.json", started | {"device": "cpu"})
    return folder


def test_each_run_has_its_state(study):
    found = status.study_status(study, now=NOW)
    assert [run.state for run in found] == ["done", "running", "running", "failed", "failed", "waiting"]


def test_a_running_run_tells_epoch_and_time_left(study):
    running = status.study_status(study, now=NOW)[1]
    assert (running.epoch, running.epochs) == (2, 10)
    assert running.seconds_left == pytest.approx(720 / 2 * 8 - 100)
    assert status.study_status(study, now=NOW + 1e6)[1].seconds_left == 0
    assert status.study_status(study)[2].seconds_left is None


def test_a_failed_run_tells_reason_and_log(study):
    failed = status.study_status(study, now=NOW)[3]
    assert failed.message == "StudyError: loss is NaN at step 12"
    assert failed.log == str(study / "logs" / "fuse" / f"{RUNS[3]}.log")


def test_a_lock_nobody_touches_any_more_is_not_running(study):
    os.utime(study / "checkpoints" / RUNS[1] / "lock.json", (0, 0))
    assert not locks.fresh(study / "checkpoints" / RUNS[1] / "lock.json")
    assert status.study_status(study, now=NOW)[1].state == "failed"


def test_gpu_hours_count_gpus_only(study):
    found = status.study_status(study, now=NOW)
    assert [run.gpu_hours for run in found] == pytest.approx([0.5, 0.2, 0, 0, 0, 0])


def test_report_counts_and_lists(study):
    text = status.describe(status.study_status(study, now=NOW))
    assert "epoch 2 of 10, 46 min left" in text
    assert "starting, unknown left" in text
    assert "(checkpoint of epoch 2 kept)  ended without a log" in text
    assert text.endswith("6 runs: 1 done, 2 running, 1 waiting, 2 failed; 0.70 GPU-hours used")
    assert status.describe(status.study_status(study, now=NOW), ["failed"]).count("\n") == 3


def test_last_line_reads_only_the_end_of_a_long_log(tmp_path):
    log = tmp_path / "long.log"
    log.write_text("first\n" * 10_000 + "last\n")
    assert status.last_line(log) == "last"
    log.write_text("\n \n")
    assert status.last_line(log) == "(empty log)"


@pytest.mark.parametrize(("seconds", "text"), [(None, "unknown"), (42, "42 s"), (420, "7 min"), (11_100, "3 h 05 min")])
def test_duration(seconds, text):
    assert status.duration(seconds) == text


def test_a_study_not_started_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"grid\.csv"):
        status.study_status(tmp_path)


def test_command(study, capsys):
    parser = argparse.ArgumentParser()
    status.add_status_arguments(parser)
    common = ["--study", "toy", "--results", str(study.parent)]
    assert status.run_status(parser.parse_args([*common, "--state", "waiting"])) == 1
    assert capsys.readouterr().out.startswith(f"waiting  {RUNS[5]}\n6 runs")
    status.run_status(parser.parse_args([*common, "--csv"]))
    assert capsys.readouterr().out.startswith("run,state,epoch")
