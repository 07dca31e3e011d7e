"""What Slurm is asked, through stand-ins for its commands; and what a profile says of a site."""

import os
from datetime import datetime
from pathlib import Path

import pytest
from alertgrid import __main__
from alertgrid.errors import Interrupted, StudyError
from alertgrid.launch import guard, scheduler
from alertgrid.launch.profile import read_profile
from slurm_stand_in import queue

PROFILES = Path(__file__).resolve().parents[2] / "profiles"


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


def test_profiles_are_read(monkeypatch, tmp_path):
    slurm = read_profile(PROFILES / "slurm")
    assert (slurm.executor, slurm.concurrency, slurm.device) == ("slurm", 50, "cuda")
    assert slurm.site == {}
    assert slurm.training == {"partition": "gpu", "gres": "gpu:1"}
    assert read_profile(PROFILES / "slurm-gpus").training == {"partition": "gpu", "gpus_per_node": 1}
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    local = read_profile(PROFILES / "local" / "profile.yaml")
    assert (local.executor, local.concurrency) == ("local", 1)
    assert (slurm.devices, local.devices) == (1, 1)
    shared = '{executor: slurm, jobs: 2, set-resources: {train: {gres: "gpu:4", machine: "resident=no devices=4"}}}'
    (tmp_path / "profile.yaml").write_text(shared)
    assert read_profile(tmp_path).devices == 4
    with pytest.raises(StudyError, match="no such profile"):
        read_profile(PROFILES / "nowhere")
