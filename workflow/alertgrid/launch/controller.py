"""Snakemake as a small Slurm job of its own, and how it is started again after it was killed.

Some sites kill long processes on login nodes, and every partition has a time limit. So the controller may itself be a
job, submitted with submitit, which requeues itself: before its limit it kills Snakemake (whose jobs stay in Slurm), and
its next life waits for those jobs, unlocks and goes on. Without Slurm the same code runs on this machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import locks
from . import guard, scheduler

# A controller may be requeued as often as a study needs; submitit wants a number.
REQUEUES = 1000
POLL_SECONDS = 10.0


@dataclass
class Controller:
    """A Snakemake that can be interrupted and started again; what submitit submits.

    Parameters
    ----------
    folder : path
        `results/{study}`.
    command : list of str
        The Snakemake call.
    cancel : bool
        End jobs that an earlier controller left, instead of waiting for them.
    slurm : bool
        Whether its jobs go to Slurm.
    """

    folder: Path
    command: list[str]
    cancel: bool = False
    slurm: bool = True
    poll_seconds: float = POLL_SECONDS
    _process: subprocess.Popen | None = field(default=None, repr=False)

    def __call__(self) -> int:
        """Clear up after an earlier controller, then run Snakemake to its end; its exit status."""
        self.clear()
        # Slurm signals every process of the job step; the warning is for this one.
        self._process = subprocess.Popen(
            [*self.command, "--rerun-incomplete"],
            env=_environment(),
            start_new_session=True,
            preexec_fn=_ignore_warning,
        )
        return self._process.wait()

    def checkpoint(self):
        """Called by submitit before the time limit: leave the jobs in Slurm, let the next life find them."""
        from submitit.helpers import DelayedSubmission

        self.stop()
        return DelayedSubmission(replace(self, _process=None))

    def stop(self) -> None:
        """End Snakemake at once. Any gentler signal would cancel its jobs, or wait for hours."""
        if self._process is not None and self._process.poll() is None:
            # Not waited for: this runs in a signal handler, over a wait that holds Popen's lock.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def clear(self) -> None:
        """Wait for (or cancel) jobs of an earlier controller, then remove Snakemake's own lock."""
        path = self.folder / guard.LOCK
        if locks.holder(path):
            raise locks.refusal(path, f"study {self.folder.name}")
        left = guard.orphans(self.folder, slurm=self.slurm)
        if left and self.cancel:
            scheduler.cancel(left)
        self._wait(left)
        subprocess.run([*self.command, "--unlock"], check=True, env=_environment())

    def _wait(self, left: list[scheduler.Job]) -> None:
        """Wait until no job of an earlier controller is left, saying so now and then."""
        known = -1
        while left:
            if len(left) != known:
                known = len(left)
                print(f"waiting for {known} jobs of an earlier Snakemake, such as {left[0].number}", flush=True)
            time.sleep(self.poll_seconds)
            left = guard.orphans(self.folder, slurm=self.slurm)


def _environment() -> dict[str, str]:
    """Tells Snakemake that it is looked after, and in which job."""
    return {**os.environ, scheduler.CONTROLLER_JOB: scheduler.own_job() or ""}


def _ignore_warning() -> None:
    """Runs in the child before Snakemake: submitit's warning signal must not end it."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def snakemake_command(study: str, profile: str, extra: list[str]) -> list[str]:
    """The call that a person would type."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", profile, "--config", f"study={study}"]
    return [*command, *extra]


def submit(
    controller: Controller, *, cluster: str | None, minutes: int, memory_gb: float, site: dict
) -> tuple[str, Path]:
    """Submit a controller; its job number and its log.

    Parameters
    ----------
    cluster : {"slurm", "local", "debug"} or None
        Where; None chooses Slurm if it is there, else this machine.
    minutes, memory_gb : int, float
        Time limit before it requeues itself, and memory.
    site : dict
        Partition and account of small jobs, as `read_profile` gives them.
    """
    import submitit

    logs = controller.folder / "logs" / "controller"
    executor = submitit.AutoExecutor(logs, cluster=cluster, slurm_max_num_timeout=REQUEUES)
    executor.update_parameters(
        name=f"alertgrid-{controller.folder.name}",
        timeout_min=minutes,
        mem_gb=memory_gb,
        cpus_per_task=1,
        **{f"slurm_{key}": value for key, value in site.items()},
    )
    with submitit.helpers.clean_env():
        job = executor.submit(controller)
    if executor.cluster == "debug":
        job.result()
    return job.job_id, Path(job.paths.stdout)
