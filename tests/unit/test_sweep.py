"""Sweeps by submitit: bounded here, an array on Slurm, whose queue is a stand-in; nothing is lost or run twice."""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import submitit
from alertgrid.errors import StudyError
from alertgrid.files import write_json
from alertgrid.launch import scheduler, sweep


class Counting:
    """Counts to `total`, remembering in a file how far it came; the first life is told to stop half-way."""

    def __init__(self, folder, total):
        self.folder, self.total, self.lives = Path(folder), total, 1

    def __call__(self):
        state = self.folder / "count"
        for number in range(int(state.read_text()) if state.exists() else 0, self.total):
            state.write_text(str(number + 1))
            (self.folder / "log").open("a").write(f"{number}\n")
            if number + 1 == self.total // 2 and self.lives == 1:
                os.kill(os.getpid(), signal.SIGUSR2)
        return self.lives, self.total

    def checkpoint(self):
        self.lives += 1
        return submitit.helpers.DelayedSubmission(self)


def note(folder, name, seconds):
    """Leave a mark while working, and say how many others did the same."""
    mark = Path(folder) / f"{name}.mark"
    mark.touch()
    others = len(list(Path(folder).glob("*.mark")))
    time.sleep(seconds)
    mark.unlink()
    if name == "bad":
        raise ValueError("no good")
    return others


def test_a_task_continues_after_a_checkpoint(tmp_path, child_path):
    task = Counting(tmp_path, 6)
    result = sweep.run_tasks([task], folder=tmp_path / "jobs", at_once=1, cluster="local")
    assert result == [(2, 6)]
    assert (tmp_path / "log").read_text().split() == list("012345")


def test_a_local_sweep_is_bounded_and_keeps_going(tmp_path, child_path, monkeypatch):
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.05)
    tasks = [partial(note, tmp_path, name, 0.2) for name in ("a", "bad", "c", "d")]
    results = sweep.run_tasks(tasks, folder=tmp_path / "jobs", at_once=2, cluster="local")
    assert "no good" in str(results.pop(1))
    assert max(results) <= 2


def test_debug_executor_runs_in_this_process(tmp_path):
    assert sweep.run_tasks([os.getpid], folder=tmp_path, at_once=1, cluster="debug") == [os.getpid()]


class FakeJob:
    """A job in Slurm as submitit shows it."""

    def __init__(self, folder, number, finished):
        self.job_id = number
        self.paths = argparse.Namespace(result_pickle=Path(folder) / f"{number}.pkl", stderr=f"{number}.err")
        if finished:
            self.paths.result_pickle.touch()

    def exception(self):
        return None

    def result(self):
        return "result"


def test_a_slurm_task_that_was_killed_is_noticed_without_accounting(tmp_path, monkeypatch):
    answers = iter([True, False])
    monkeypatch.setattr(scheduler, "is_active", lambda number: next(answers) if number == "8" else None)
    jobs = [FakeJob(tmp_path, "8_0", True), FakeJob(tmp_path, "8_1", False)]
    result, lost = sweep._gather(jobs, poll_seconds=0, grace_seconds=0)
    assert result == "result"
    assert "8_1.err" in str(lost)


def gather(folder, monkeypatch, active, jobs, **options):
    """Results of an array of which the scheduler says one thing after another, the last one for ever."""
    answers = list(active)
    monkeypatch.setattr(scheduler, "is_active", lambda number: answers.pop(0) if len(answers) > 1 else answers[0])
    return sweep._gather(jobs, poll_seconds=0.01, **options)


def test_a_result_that_a_shared_disk_shows_late_is_not_lost(tmp_path, monkeypatch):
    jobs = [FakeJob(tmp_path, "8_0", False)]
    timer = threading.Timer(0.3, jobs[0].paths.result_pickle.touch)
    timer.start()
    assert gather(tmp_path, monkeypatch, [True, False], jobs, grace_seconds=30) == ["result"]
    timer.join()


def test_a_silent_scheduler_is_no_end_of_an_array(tmp_path, monkeypatch):
    jobs = [FakeJob(tmp_path, "8_0", False)]
    timer = threading.Timer(0.3, jobs[0].paths.result_pickle.touch)
    timer.start()
    assert gather(tmp_path, monkeypatch, [None], jobs, grace_seconds=0) == ["result"]
    timer.join()


@pytest.fixture
def earlier(tmp_path):
    """The note of an earlier start, with array 77."""
    write_json(tmp_path / sweep.ARRAY, {"job": "77"})
    return tmp_path / sweep.ARRAY


def test_a_restarted_sweep_ends_its_old_array_before_it_begins(slurm, earlier, tmp_path):
    (slurm / "squeue.out").write_text("RUNNING\nPENDING\n")
    (slurm / "scancel").write_text(f"#!/bin/sh\necho $* >> {slurm}/cancelled; echo CANCELLED > {slurm}/squeue.out\n")
    assert sweep.run_tasks([os.getpid], folder=tmp_path, at_once=1, cluster="debug") == [os.getpid()]
    assert (slurm / "cancelled").read_text() == "77\n"
    assert not earlier.exists()


def test_an_old_array_that_has_ended_is_left_alone(slurm, earlier, tmp_path):
    (slurm / "squeue.err").write_text("slurm_load_jobs error: Invalid job id specified")
    sweep.run_tasks([os.getpid], folder=tmp_path, at_once=1, cluster="debug")
    assert "scancel" not in (slurm / "calls.txt").read_text()
    assert not earlier.exists()


def test_while_slurm_is_silent_no_second_array_is_submitted(slurm, earlier):
    (slurm / "squeue.err").write_text("Unable to contact slurm controller")
    with pytest.raises(StudyError, match=r"job array 77 .* still runs") as refusal:
        sweep._end_earlier(earlier, poll_seconds=0.01, silence_seconds=0.1)
    assert str(earlier) in refusal.value.remedy
    assert earlier.exists()


def test_a_scheduler_that_answers_again_is_waited_for(earlier, monkeypatch):
    answers, cancelled = iter([None, None, True, None, False]), []
    monkeypatch.setattr(scheduler, "is_active", lambda number: next(answers))
    monkeypatch.setattr(scheduler, "cancel_number", cancelled.append)
    sweep._end_earlier(earlier, poll_seconds=0)
    assert cancelled == ["77"]
    assert not earlier.exists()


STARTER = """
import sys
from functools import partial
from alertgrid.launch import sweep
import test_sweep

sweep.run_tasks([partial(test_sweep.last_words, sys.argv[1])], folder=sys.argv[1], at_once=1, cluster="local")
"""


def last_words(folder):
    """Work for a minute, or leave a mark when asked to end."""

    def say(number, frame):
        Path(folder, "ended").touch()
        raise SystemExit(1)

    signal.signal(signal.SIGTERM, say)
    Path(folder, "begun").touch()
    time.sleep(60)


def wait_for(path):
    """Wait until a file is there."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not come")


def test_tasks_on_this_machine_end_with_the_one_who_started_them(tmp_path, child_path):
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)])
    wait_for(tmp_path / "begun")
    starter.terminate()
    assert starter.wait(30) == 128 + signal.SIGTERM
    wait_for(tmp_path / "ended")


def interrupt():
    """Ctrl-C, also where this process is told to ignore it, as in the background of a shell."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("end", [partial(signal.raise_signal, signal.SIGTERM), interrupt])
def test_an_array_ends_with_the_one_who_waits_for_it(slurm, end):
    with pytest.raises((SystemExit, KeyboardInterrupt)), sweep._ended_with_us("77"):
        end()
    assert (slurm / "calls.txt").read_text() == "scancel 77\n"


def test_an_array_that_has_ended_is_left_alone(slurm):
    with sweep._ended_with_us("77"):
        pass
    assert not (slurm / "calls.txt").exists()
