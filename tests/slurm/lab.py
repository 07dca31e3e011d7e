"""The stand-in study that is disturbed on the test cluster, and how it is started and looked at."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from alertgrid.launch import scheduler

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Longest that one Snakemake may take; a hanging controller must not hang the tests.
LIMIT_SECONDS = 420


def wait_until(condition, seconds: float, what: str = "the condition"):
    """Return the first true value of a condition; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} was not met within {seconds} s"
        time.sleep(0.2)
    return value


def squeue(states: str = "running,pending,completing,configuring,suspended") -> list[str]:
    """Numbers of jobs in Slurm."""
    answer = subprocess.run(
        ["squeue", "--noheader", f"--states={states}", "--format=%i"], capture_output=True, text=True
    )
    return answer.stdout.split()


def small_profile(source: str, target: Path, runtime: int = 5, memory_mb: int = 1200) -> Path:
    """A profile of the project, with the requests of its jobs cut down to the test node and quicker polling."""
    profile = yaml.safe_load((ROOT / "profiles" / source / "profile.yaml").read_text())
    profile["slurm-init-seconds-before-status-checks"] = 1
    profile["latency-wait"] = 5
    profile["default-resources"] |= {"mem_mb": 1000, "runtime": 5}
    for resources in profile["set-resources"].values():
        resources |= {"mem_mb": f"{memory_mb} * attempt", "runtime": runtime}
        # Five minutes before a limit of five minutes would be at once.
        if "signal" in resources.get("slurm_extra", ""):
            resources["slurm_extra"] = "--open-mode=append"
    profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
    target.mkdir(parents=True, exist_ok=True)
    (target / "profile.yaml").write_text(yaml.safe_dump(profile))
    return target


class Study:
    """A folder with a workflow, in which Snakemake is started as a person would start it."""

    memory_mb = 1200

    def __init__(self, folder: Path, profile: str = "slurm", epochs: int = 4, pace: float = 0.2, runtime: int = 5):
        self.folder, self.results = folder, folder / "results" / "toy"
        self.processes: list[subprocess.Popen] = []
        self.copy_workflow()
        small_profile(profile, folder / "profiles" / "slurm", runtime, self.memory_mb)
        self.config = self.settings(epochs, pace)
        bin_folder = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "workflow"),
        }

    def copy_workflow(self) -> None:
        """Put the workflow into the study's folder."""
        shutil.copytree(HERE / "standin", self.folder, dirs_exist_ok=True)

    def settings(self, epochs: int, pace: float) -> list[str]:
        """What follows --config."""
        return ["study=toy", f"package={ROOT / 'workflow'}", f"epochs={epochs}", f"pace={pace}"]

    def command(self, *options: str, profile: str = "profiles/slurm") -> list[str]:
        """The Snakemake call."""
        words = [sys.executable, "-m", "snakemake", "--workflow-profile", profile, *options]
        return [*words, "--config", *self.config]

    def start(self, *options: str) -> subprocess.Popen:
        """Start Snakemake in the background, in a session of its own, with its output in controller.log."""
        with open(self.folder / "controller.log", "a") as log:
            process = subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def wait_for(self, condition, seconds: float, process: subprocess.Popen):
        """Wait for a condition while Snakemake runs; its log is shown when it ends before that."""

        def met():
            value = condition()
            assert value or process.poll() is None, self.log()[-3000:]
            return value

        return wait_until(met, seconds)

    def finish(self, process: subprocess.Popen, seconds: float = LIMIT_SECONDS) -> int:
        """Wait for a Snakemake; interrupt one that hangs, which cancels its jobs."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            pytest.fail(f"Snakemake was not done after {seconds} s\n{self.log()[-3000:]}")

    def run(self, command: list[str], seconds: float = LIMIT_SECONDS) -> subprocess.CompletedProcess:
        """Run any command in the study's folder."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=seconds
        )

    def alertgrid(self, *words: str, code: str = "run_resume") -> list[str]:
        """A subcommand of the launch room, called as __main__ does."""
        name = code.removeprefix("run_")
        program = (
            "import argparse, sys\nfrom alertgrid.launch import command\nparser = argparse.ArgumentParser()\n"
            f"command.add_{name}_arguments(parser)\nsys.exit(command.{code}(parser.parse_args()))"
        )
        extra = ["--config", *self.config]
        return [sys.executable, "-c", program, "--study", "toy", "--profile", "profiles/slurm", *words, "--", *extra]

    def log(self) -> str:
        """What Snakemake has said so far."""
        return (self.folder / "controller.log").read_text()

    def lines(self, seed: int, name: str) -> list[int]:
        """Epochs that a run has `begun` or `saved`, in order."""
        path = self.results / "checkpoints/cell/f1" / f"s{seed}" / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def job_of(self, seed: int) -> str | None:
        """Number of the active Slurm job of a run."""
        jobs = [job for job in scheduler.jobs_in(self.folder) if job.comment == f"rule_train_wildcards_{seed}"]
        return jobs[0].number if jobs else None

    def results_of(self) -> dict[int, str]:
        """Content of every run.json."""
        folder = self.results / "runs/cell/f1"
        return {seed: (folder / f"s{seed}" / "run.json").read_text() for seed in range(4)}
