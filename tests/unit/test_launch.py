"""Launching: what Slurm is asked (through stand-ins for its commands), one controller a study, sweeps by submitit."""

import argparse
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import submitit
from alertgrid import __main__, locks
from alertgrid.errors import Interrupted, StudyError
from alertgrid.launch import command, controller, guard, scheduler, sweep
from alertgrid.launch.profile import read_profile

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
PROFILES = WORKFLOW.parent / "profiles"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for Slurm's commands: each writes its call to calls.txt and prints the file named after it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("squeue", "scancel", "scontrol"):
        script = folder / name
        script.write_text(
            f"#!/bin/sh\necho {name} $* >> {folder}/calls.txt\ncat {folder}/{name}.err >&2 2>/dev/null\n"
            f"cat {folder}/{name}.out 2>/dev/null\ntest ! -e {folder}/{name}.err\n"
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def queue(slurm, folder, *jobs):
    """Fill the stand-in for squeue with jobs (number, name, comment) of a working directory."""
    lines = [f"{number}|RUNNING|{name}|{folder}|{comment}\n" for number, name, comment in jobs]
    (slurm / "squeue.out").write_text("".join(lines))


# --- what Slurm is asked


@pytest.mark.parametrize(
    ("out", "err", "answer"),
    [
        ("RUNNING\n", None, True),
        ("COMPLETING\n", None, True),
        ("COMPLETED\n", None, False),
        ("TIMEOUT\n", None, False),
        ("", "slurm_load_jobs error: Invalid job id specified", False),
        ("", "Unable to contact slurm controller", None),
    ],
)
def test_is_active(slurm, out, err, answer):
    (slurm / "squeue.out").write_text(out)
    if err:
        (slurm / "squeue.err").write_text(err)
    assert scheduler.is_active("7") is answer


def test_without_slurm_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scheduler.is_active("7") is None
    assert guard.orphans(tmp_path / "results" / "toy") == []


@pytest.mark.parametrize(
    ("out", "end"), [("2026-11-20T18:22:08", datetime(2026, 11, 20, 18, 22, 8).timestamp()), ("NONE", None), ("", None)]
)
def test_the_end_of_the_own_job(slurm, monkeypatch, out, end):
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    (slurm / "squeue.out").write_text(f"{out}\n")
    assert scheduler.end_of_job() == end
    assert "squeue --noheader --jobs=9 --format=%e" in (slurm / "calls.txt").read_text()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert scheduler.end_of_job() is None


def test_jobs_of_a_folder(slurm, tmp_path):
    queue(slurm, tmp_path, ("1", "ag_x", "rule_train_wildcards_a|b"))
    with open(slurm / "squeue.out", "a") as file:
        file.write("2|PENDING|other|/elsewhere|rule_train\n")
    jobs = scheduler.jobs_in(tmp_path)
    assert [(job.number, job.comment) for job in jobs] == [("1", "rule_train_wildcards_a|b")]
    scheduler.cancel(jobs)
    scheduler.cancel([])
    assert scheduler.requeue("9")
    assert (slurm / "calls.txt").read_text().splitlines()[1:] == ["scancel 1", "scontrol requeue 9"]


def test_a_job_requeues_itself_a_limited_number_of_times(slurm, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not scheduler.requeue_self()
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    (slurm / "scontrol.out").write_text("JobId=9 JobState=RUNNING Requeue=1 Restarts=2 BatchFlag=1")
    assert scheduler.requeue_self(most=3, wait_seconds=0)
    assert not scheduler.requeue_self(most=2, wait_seconds=0)
    assert (slurm / "calls.txt").read_text().count("scontrol requeue 9") == 1
    (slurm / "scontrol.err").write_text("Requested operation is presently disabled")
    assert not scheduler.requeue_self(most=3, wait_seconds=0)


@pytest.mark.parametrize("shown", ["JobState=CANCELLED Requeue=1 Restarts=0", "JobState=RUNNING Requeue=0 Restarts=0"])
def test_a_job_that_is_being_ended_is_not_revived(slurm, monkeypatch, shown):
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    (slurm / "scontrol.out").write_text(shown)
    assert not scheduler.requeue_self(wait_seconds=0)
    assert "requeue" not in (slurm / "calls.txt").read_text()


@pytest.mark.parametrize(("asked", "requeued"), [(True, 1), (False, 0)])
def test_a_command_out_of_time_requeues_its_job_when_asked(monkeypatch, asked, requeued):
    def out_of_time(options):
        seen.append(options.deadline)
        raise Interrupted("the time given to this run is used up")

    calls, seen = [], []
    monkeypatch.setattr(__main__, "requeue_self", lambda: calls.append(True))
    monkeypatch.setattr(__main__, "end_of_job", lambda: 5000.0)
    monkeypatch.setattr("alertgrid.pretraining.command.run_pretrain", out_of_time)
    words = ["pretrain", "--checkpoints", "c", "--output", "o", "--architecture", "a", "--corpus", "{}"]
    assert __main__.main([*words, *(["--requeue"] if asked else [])]) == __main__.AGAIN
    assert len(calls) == requeued
    assert seen == [5000.0 if asked else None]


# --- one controller a study


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Folder of a study below the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "toy"
    folder.mkdir(parents=True)
    return folder


def test_a_second_controller_refuses(study, slurm, capsys):
    with guard.begin(study):
        with pytest.raises(StudyError, match=f"process {os.getpid()}"):
            guard.begin(study)
        guard.warn(study, ["snakemake"])
        assert "already under way" in capsys.readouterr().err
        with pytest.raises(StudyError, match="already under way"):
            guard.warn(study, ["snakemake", "--unlock"])
    guard.warn(study, ["snakemake", "--unlock"])
    assert capsys.readouterr().err == ""


def killed(study, **notes):
    """Leave the lock of a controller that was killed."""
    with guard.begin(study, **notes):
        text = (study / guard.LOCK).read_text()
    (study / guard.LOCK).write_text(text.replace(f'"pid": {os.getpid()}', '"pid": 0'))


def test_the_lock_of_a_killed_controller_names_the_way_on(study, slurm, capsys, monkeypatch):
    killed(study)
    guard.warn(study)
    assert "python -m alertgrid resume --study toy" in capsys.readouterr().err
    monkeypatch.setenv(scheduler.CONTROLLER_JOB, "")
    guard.warn(study)
    assert capsys.readouterr().err == ""


def test_slurm_is_asked_only_where_it_is_or_was_used(study, slurm, tmp_path):
    (slurm / "squeue.err").write_text("Unable to contact slurm controller")
    with guard.begin(study, slurm=False):
        pass
    assert not (slurm / "calls.txt").exists()
    (slurm / "squeue.err").unlink()
    killed(study, slurm=True)
    queue(slurm, tmp_path, ("1", "ag_x", "rule_train"))
    with pytest.raises(StudyError, match="still in Slurm"):
        guard.begin(study, slurm=False)
    with pytest.raises(StudyError, match="still in Slurm"):  # the refusal itself forgets nothing
        guard.begin(study, slurm=False)


def test_a_folder_that_cannot_be_written_is_named(study, slurm, monkeypatch):
    def full(*words, **notes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StudyError, match=r"results/toy/controller\.lock: cannot be written: .*No space left on device"):
        guard.begin(study)


def test_orphans_stop_a_new_controller(study, slurm, tmp_path):
    queue(slurm, tmp_path, ("1", "ag_x", "rule_train"), ("2", "alertgrid-toy", "(null)"))
    with pytest.raises(StudyError, match=r"1 jobs .*\(1\)") as refusal:
        guard.begin(study)
    assert "python -m alertgrid resume --study toy" in str(refusal.value)
    assert not (study / guard.LOCK).exists()


def test_jobs_of_another_study_are_no_orphans(study, slurm, tmp_path):
    queue(slurm, tmp_path, ("1", "alertgrid_abc-1", "rule_train"), ("2", "alertgrid_xyz-2", "rule_train"))
    log = tmp_path / "snakemake.log"
    log.write_text("Building DAG\nSLURM run ID: alertgrid_abc-1\n")
    with guard.begin(tmp_path / "results" / "other", [str(log)], workdir=tmp_path / "empty"):
        assert [job.number for job in guard.orphans(study)] == ["2"]


def test_a_silent_scheduler_stops_a_new_controller(study, slurm):
    (slurm / "squeue.err").write_text("Unable to contact slurm controller")
    with pytest.raises(StudyError, match="Unable to contact"):
        guard.begin(study)


# --- the controller


SNAKEMAKE = """
import pathlib, signal, sys, time
calls = pathlib.Path("calls.txt")
calls.open("a").write(" ".join(sys.argv[1:]) + "\\n")
if "--rerun-incomplete" in sys.argv and "slow" in sys.argv and calls.read_text().count("--rerun") == 1:
    time.sleep(60)
"""


@pytest.fixture
def snakemake(tmp_path):
    """Stand-in for Snakemake that writes down how it was called; with `slow` its first life hangs."""
    script = tmp_path / "snakemake.py"
    script.write_text(SNAKEMAKE)
    return [sys.executable, str(script)]


def calls(tmp_path):
    """How the stand-in for Snakemake was called."""
    return (tmp_path / "calls.txt").read_text().splitlines()


def test_resume_unlocks_then_runs(study, slurm, snakemake, tmp_path):
    assert controller.Controller(study, snakemake)() == 0
    assert calls(tmp_path) == ["--unlock", "--rerun-incomplete"]


def test_resume_waits_for_jobs_left_in_slurm(study, slurm, snakemake, tmp_path, capsys):
    queue(slurm, tmp_path, ("5", "ag_x", "rule_train"))
    subprocess.Popen(["sh", "-c", f"sleep 0.3; : > {slurm}/squeue.out"])
    start = time.monotonic()
    controller.Controller(study, snakemake, poll_seconds=0.02)()
    assert time.monotonic() - start > 0.25
    assert capsys.readouterr().out.count("waiting for 1 jobs") == 1
    assert calls(tmp_path) == ["--unlock", "--rerun-incomplete"]


def test_resume_cancels_when_asked(study, slurm, snakemake, tmp_path):
    queue(slurm, tmp_path, ("5", "ag_x", "rule_train"))
    (slurm / "scancel").write_text(f"#!/bin/sh\necho $* > {slurm}/cancelled; : > {slurm}/squeue.out\n")
    controller.Controller(study, snakemake, cancel=True, poll_seconds=0.02)()
    assert (slurm / "cancelled").read_text() == "5\n"


def test_resume_refuses_beside_a_live_controller(study, slurm, snakemake, tmp_path):
    with guard.begin(study), pytest.raises(StudyError, match="already under way"):
        controller.Controller(study, snakemake)()
    assert not (tmp_path / "calls.txt").exists()


def checkpoint_when(ready, job):
    """Call a controller's checkpoint from outside, as submitit's signal handler does, once `ready` says so."""

    def look(*_):
        if ready():
            job.append(job[0].checkpoint())
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.1)


def test_checkpoint_kills_snakemake_and_returns_a_fresh_controller(study, slurm, snakemake, tmp_path):
    jobs = [controller.Controller(study, [*snakemake, "slow"])]
    checkpoint_when(
        lambda: (tmp_path / "calls.txt").exists() and "--rerun" in (tmp_path / "calls.txt").read_text(), jobs
    )
    assert jobs[0]() == -signal.SIGKILL
    delayed = jobs[1]
    assert isinstance(delayed, submitit.helpers.DelayedSubmission)
    assert delayed.function() == 0
    assert calls(tmp_path).count("slow --rerun-incomplete") == 2


def options(add, *words):
    """Parsed options of a subcommand."""
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(words)


def test_launch_runs_in_process_with_the_debug_executor(study, slurm, snakemake, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(controller, "snakemake_command", None)
    monkeypatch.setattr(command, "snakemake_command", lambda study, profile, extra: [*snakemake, study, *extra])
    words = ["--study", "toy", "--profile", str(PROFILES / "local"), "--cluster", "debug", "--", "-k"]
    assert command.run_launch(options(command.add_launch_arguments, *words)) == 0
    assert calls(tmp_path) == ["toy -k --unlock", "toy -k --rerun-incomplete"]
    assert str(study / "logs" / "controller") in capsys.readouterr().out


def test_launch_refuses_beside_a_live_controller(study, slurm):
    with guard.begin(study), pytest.raises(StudyError, match="already under way"):
        command.run_launch(
            options(command.add_launch_arguments, "--study", "toy", "--profile", str(PROFILES / "local"))
        )


def test_resume_command(study, slurm, snakemake, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "snakemake_command", lambda study, profile, extra: snakemake)
    words = ("--study", "toy", "--profile", str(PROFILES / "local"), "--cancel")
    assert command.run_resume(options(command.add_resume_arguments, *words)) == 0


def test_the_command_a_person_would_type():
    words = controller.snakemake_command("btsbot", "profiles/slurm", ["--dry-run"])
    expected = ["-m", "snakemake", "--workflow-profile", "profiles/slurm", "--config", "study=btsbot", "--dry-run"]
    assert words[1:] == expected


# --- profiles


def test_profiles_are_read(monkeypatch):
    slurm = read_profile(PROFILES / "slurm")
    assert (slurm.executor, slurm.concurrency, slurm.device) == ("slurm", 50, "cuda")
    assert slurm.site == {}
    assert slurm.training == {"partition": "gpu", "gres": "gpu:1"}
    assert read_profile(PROFILES / "slurm-gpus").training == {"partition": "gpu", "gpus_per_node": 1}
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    local = read_profile(PROFILES / "local" / "profile.yaml")
    assert (local.executor, local.concurrency) == ("local", 1)
    with pytest.raises(StudyError, match="no such profile"):
        read_profile(PROFILES / "nowhere")


# --- sweeps


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


@pytest.fixture
def child_path(monkeypatch):
    """submitit's child processes find the package and this module by PYTHONPATH only."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(WORKFLOW), str(Path(__file__).parent)]))


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
    result, lost = sweep._gather(jobs, poll_seconds=0)
    assert result == "result"
    assert "8_1.err" in str(lost)


def test_the_lock_file_of_a_controller_names_its_log(study, slurm):
    with guard.begin(study, ["snakemake.log"]):
        assert locks.read(study / guard.LOCK)["logs"] == [str(Path("snakemake.log").resolve())]
