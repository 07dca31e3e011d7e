"""Launching: one controller a study, and how a killed one is started again; Slurm and Snakemake are stand-ins."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import submitit
from alertgrid import locks
from alertgrid.errors import StudyError
from alertgrid.launch import command, controller, guard, scheduler
from slurm_stand_in import queue

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
PROFILES = WORKFLOW.parent / "profiles"


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

    monkeypatch.setattr(os, "link", full)
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


def test_the_lock_file_of_a_controller_names_its_log(study, slurm):
    with guard.begin(study, ["snakemake.log"]):
        assert locks.read(study / guard.LOCK)["logs"] == [str(Path("snakemake.log").resolve())]
