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
    """Six runs: done, running, just started, failed with a log, stopped without one, waiting."""
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
    assert [run.state for run in found] == ["done", "running", "running", "failed", "stopped", "waiting"]


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
    assert status.study_status(study, now=NOW)[1].state == "stopped"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("epoch 1 of 4\n", "stopped"),  # killed: nobody wrote why
        ("stopped before the end, start again to go on: SIGTERM received\n", "stopped"),
        ("UserWarning: lr\nepoch 2 of 4, error 0.1\n", "stopped"),
        ("error: config.yaml: no such row\n  expected: one\n", "failed"),
        ('Traceback (most recent call last):\n  File "x"\nKeyError: 3\n', "failed"),
        ("x" * 5000 + "\ntorch.OutOfMemoryError: CUDA out of memory\n", "failed"),
    ],
)
def test_a_run_has_failed_only_if_its_log_says_an_error(study, text, state):
    log = study / "logs" / "train" / f"{RUNS[5]}.log"
    write_text(log, text)
    now = log.stat().st_mtime + 2 * status.STARTING_SECONDS
    found = status.study_status(study, now=now)[5]
    assert (found.state, found.log) == (state, str(log))
    assert found.message == text.strip().splitlines()[-1].strip()


def test_a_run_that_loads_its_libraries_is_starting(study):
    log = study / "logs" / "train" / f"{RUNS[5]}.log"
    write_text(log, "")
    found = status.study_status(study, now=log.stat().st_mtime + 1)[5]
    assert (found.state, found.seconds_left) == ("running", None)


def test_pretrainings_are_listed_beside_the_runs(study):
    for name in ("a-own", "b-own"):
        write_text(study / "logs" / "pretrain" / f"{name}.log", "epoch 1\n")
    manifest = {"epochs": 3, "wall_seconds": 5400.0, "device": "cuda:0"}
    write_json(study / "encoders" / "a-own" / "manifest.json", manifest)
    found = status.study_status(study)
    assert [(run.run, run.state) for run in found[:2]] == [("encoders/a-own", "done"), ("encoders/b-own", "running")]
    assert (found[0].epoch, found[0].gpu_hours) == (3, 1.5)
    assert "; 2 encoders begun: 1 done, 1 running, 0 waiting, 0 stopped, 0 failed; " in status.describe(found)


def test_an_encoder_without_its_manifest_is_not_done(study):
    log = study / "logs" / "pretrain" / "a-own.log"
    write_text(log, "epoch 1\n")
    write_text(study / "encoders" / "a-own" / "scores.csv", "metric,value\n")
    os.utime(log, (NOW - 1000, NOW - 1000))
    assert status.study_status(study, now=NOW)[0].state == "stopped"


def test_failures_are_few_lines_for_the_end_of_a_start(study, tmp_path):
    assert status.failures(tmp_path) == ""
    text = status.failures(study)
    assert "StudyError: loss is NaN at step 12\n" in text
    assert str(study / "logs" / "fuse" / f"{RUNS[3]}.log") in text
    assert status.failures(study, most=1).endswith("... and 1 more\n")


def test_gpu_hours_count_gpus_only(study):
    found = status.study_status(study, now=NOW)
    assert [run.gpu_hours for run in found] == pytest.approx([0.5, 0.2, 0, 0, 0, 0])


def test_gpu_hours_are_those_of_all_gpus_that_share_a_run(study):
    record = {"epochs": 8, "wall_seconds": 1800.0, "device": "cuda", "devices": 4}
    write_json(study / "runs" / RUNS[0] / "run.json", record)
    progress = {"epoch": 2, "epochs": 10, "seconds": 720.0, "device": "cuda:0", "devices": 2, "updated": NOW}
    write_json(study / "checkpoints" / RUNS[1] / "progress.json", progress)
    assert [run.gpu_hours for run in status.study_status(study, now=NOW)[:2]] == pytest.approx([2.0, 0.4])


def test_report_counts_and_lists(study):
    text = status.describe(status.study_status(study, now=NOW))
    assert "epoch 2 of 10, 46 min left" in text
    assert "starting, unknown left" in text
    assert "(checkpoint of epoch 2 kept), goes on at the next attempt or start: without a log" in text
    assert text.endswith("6 runs: 1 done, 2 running, 1 waiting, 1 stopped, 1 failed; 0.70 GPU-hours used")
    assert status.describe(status.study_status(study, now=NOW), ["failed"]).count("\n") == 2


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


@pytest.fixture
def packed(tmp_path):
    """A job that trains its second run: the first is done, the third failed before, the fourth has not begun."""
    folder = tmp_path / "results" / "packed"
    pack = "train_btsbot_cnn-none-image_0"
    write_text(folder / "grid.csv", pd.DataFrame({"run": RUNS[:4], "pack": pack}).to_csv(index=False))
    record = {"epochs": 8, "wall_seconds": 1800.0, "device": "cuda"}
    write_json(folder / "checkpoints" / RUNS[0] / "finished" / "run.json", record)
    write_text(folder / "checkpoints" / RUNS[1] / "lock.json", "{}")
    write_json(folder / "checkpoints" / RUNS[2] / "failed.json", {"reason": "the loss is nan\n  expected: a number"})
    write_text(folder / "logs" / "train" / f"{pack}.log", "kept: the first\n")
    os.utime(folder / "logs" / "train" / f"{pack}.log", (NOW - 1000, NOW - 1000))
    return folder


def test_runs_of_one_job_have_states_of_their_own(packed):
    found = status.study_status(packed, now=NOW)
    assert [run.state for run in found] == ["done", "running", "failed", "waiting"]
    assert found[0].gpu_hours == 0.5
    assert found[2].message == "the loss is nan"
    assert found[2].log.endswith("train_btsbot_cnn-none-image_0.log")


def test_when_the_job_has_ended_its_other_runs_have_stopped(packed):
    (packed / "checkpoints" / RUNS[1] / "lock.json").unlink()
    found = status.study_status(packed, now=NOW)
    assert [run.state for run in found] == ["done", "stopped", "failed", "stopped"]


def test_a_run_trained_again_is_running_in_spite_of_an_old_failure(packed):
    write_text(packed / "checkpoints" / RUNS[2] / "lock.json", "{}")
    assert status.study_status(packed, now=NOW)[2].state == "running"
