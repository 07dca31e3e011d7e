"""What does Slurm know? The few questions that are asked of it, through its own commands.

Source: squeue(1), scancel(1), scontrol(1). Nothing here needs accounting (slurmdbd).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# States in which a job may still write files, or will start again under the same number.
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
UNKNOWN_JOB = "Invalid job id"
# Snakemake's Slurm plugin removes SLURM_* from its own environment; a controller that is a job hands its number on.
CONTROLLER_JOB = "ALERTGRID_CONTROLLER_JOB"


@dataclass(frozen=True)
class Job:
    """One job in Slurm: number, state, name, working directory and the comment that says what it does."""

    number: str
    state: str
    name: str
    folder: str
    comment: str


def available() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None


def own_job() -> str | None:
    """Number of the Slurm job that this process runs in, if it does."""
    return os.environ.get("SLURM_JOB_ID") or os.environ.get(CONTROLLER_JOB)


def is_active(number: str) -> bool | None:
    """Whether a job is waiting, running or ending; None when Slurm does not answer."""
    if not available():
        return None
    answer = _ask("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T")
    if answer.returncode:
        return False if UNKNOWN_JOB in answer.stderr else None
    return any(state not in ENDED for state in answer.stdout.split())


def end_of_job() -> float | None:
    """When Slurm will end the job of this process, in seconds since 1970; None outside Slurm, or when it has no limit.

    A job starts some time before its work: Snakemake starts twice in between, so a budget counted from the start of the
    work comes too late by that.
    """
    number = own_job()
    answer = _ask("squeue", "--noheader", f"--jobs={number}", "--format=%e") if number and available() else None
    try:
        return time.mktime(time.strptime(answer.stdout.strip(), "%Y-%m-%dT%H:%M:%S")) if answer else None
    except ValueError:
        return None


def jobs_in(folder: str | Path) -> list[Job]:
    """Jobs of this user that wait or run with the given working directory.

    Raises
    ------
    RuntimeError
        Slurm does not answer; what is running is then unknown.
    """
    answer = _ask("squeue", "--noheader", "--me", "--format=%i|%T|%j|%Z|%k")
    if answer.returncode:
        raise RuntimeError(f"squeue failed: {answer.stderr.strip()}")
    jobs = [Job(*line.strip().split("|", 4)) for line in answer.stdout.splitlines() if line.strip()]
    return [job for job in jobs if Path(job.folder).resolve() == Path(folder).resolve()]


def cancel(jobs: list[Job]) -> None:
    """Ask Slurm to end jobs."""
    if jobs:
        _ask("scancel", *(job.number for job in jobs))


def cancel_number(number: str) -> None:
    """Ask Slurm to end a job, or a whole array, by its number."""
    _ask("scancel", number)


def requeue(number: str) -> bool:
    """Put the running job back into the queue under its own number; whether Slurm agreed."""
    return _ask("scontrol", "requeue", number).returncode == 0


def requeue_self(most: int = 50, wait_seconds: float = 120.0) -> bool:
    """Put the job of this process back into the queue, where it keeps its number and uses up no retry of Snakemake.

    For work that is longer than any time limit: save first, then call this. Slurm ends the process while it waits here.
    A job that is being cancelled or has reached its limit is left alone: its user, or a retry, decides what comes next.

    Parameters
    ----------
    most : int
        Requeues of one job, so that work that never gets on comes to an end.
    wait_seconds : float
        How long to wait for that end.

    Returns
    -------
    bool
        False where it was not possible (no Slurm, too many requeues, refused); the caller then exits as usual.
    """
    number = own_job()
    if not number or not available():
        return False
    shown = _ask("scontrol", "show", "job", number).stdout
    restarts = re.search(r"Restarts=(\d+)", shown)
    running = "JobState=RUNNING" in shown and "Requeue=1" in shown
    if not running or not restarts or int(restarts[1]) >= most or not requeue(number):
        return False
    time.sleep(wait_seconds)
    return True


def _ask(*command: str) -> subprocess.CompletedProcess:
    """Run one of Slurm's commands; a scheduler that hangs counts as one that does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
