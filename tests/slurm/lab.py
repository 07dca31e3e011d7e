"""The stand-in study that is disturbed on the test cluster, and how it is started and looked at."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from alertgrid.launch import scheduler
from standin import trainer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Longest that one Snakemake may take; a hanging controller must not hang the tests.
LIMIT_SECONDS = 600


def slurm(*words: str) -> str:
    """One of Slurm's commands, which must succeed."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def wait_until(condition, seconds: float, what: str = "the condition"):
    """Return the first true value of a condition; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} was not met within {seconds} s"
        time.sleep(0.2)
    return value


def jobs_below(folder: Path) -> list[str]:
    """Numbers of jobs that wait, run or end and were submitted from a folder or one below it."""
    states = "--states=running,pending,completing,configuring,suspended"
    lines = slurm("squeue", "--noheader", states, "--format=%i|%Z").splitlines()
    found = (line.strip().split("|") for line in lines)
    return [number for number, place in found if Path(place).is_relative_to(folder)]


def small_profile(source: str, target: Path, memory_mb: int, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """A profile of the project, with the requests of its jobs cut down to the test node and quicker polling."""
    profile = yaml.safe_load((ROOT / "profiles" / source / "profile.yaml").read_text())
    profile["slurm-init-seconds-before-status-checks"] = 1
    profile["latency-wait"] = 5
    profile["default-resources"] |= {"mem_mb": 1000, "runtime": 5}
    for rule, resources in profile["set-resources"].items():
        resources |= {"mem_mb": f"{memory_mb} * attempt", "runtime": 5}
        # Five minutes before a limit of five minutes would be at once, and the only node is shared by several tests.
        if {"--signal", "--exclusive"} & {word.split("=")[0] for word in resources.get("slurm_extra", "").split()}:
            resources["slurm_extra"] = "--open-mode=append"
        resources |= changes.get(rule, {})
    profile["set-resources"]["tune"] |= {"trial_mem_mb": memory_mb, "trial_runtime": 5, "trial_threads": 1}
    profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
    target.mkdir(parents=True, exist_ok=True)
    (target / "profile.yaml").write_text(yaml.safe_dump(profile))


class Study:
    """A folder with a workflow, in which Snakemake is started as a person would start it.

    `epochs` holds one number for each run, parted by "/"; `changes` what rules ask of Slurm beside the usual.
    """

    memory_mb = 1200

    def __init__(
        self,
        folder: Path,
        profile: str = "slurm",
        epochs: str = "6/6",
        pace: float = 0.2,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.folder, self.results = folder, folder / "results" / "toy"
        self.epochs = [int(number) for number in epochs.split("/")]
        self.processes: list[subprocess.Popen] = []
        self.copy_workflow()
        small_profile(profile, folder / "profiles" / "slurm", self.memory_mb, changes or {})
        self.config = self.settings(epochs, pace)
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "workflow"),
        }

    def copy_workflow(self) -> None:
        """Put the workflow into the study's folder."""
        shutil.copytree(HERE / "standin", self.folder, dirs_exist_ok=True)

    def settings(self, epochs: str, pace: float) -> list[str]:
        """What follows --config."""
        return ["study=toy", f"package={ROOT / 'workflow'}", f"epochs='{epochs}'", f"pace={pace}"]

    def command(self, *options: str, profile: str = "profiles/slurm") -> list[str]:
        """The Snakemake call."""
        words = [sys.executable, "-m", "snakemake", "--workflow-profile", profile, *options]
        return [*words, "--config", *self.config]

    def start(self, *options: str) -> subprocess.Popen:
        """Start Snakemake in the background."""
        return self._start(self.command(*options))

    def start_alertgrid(self, *words: str) -> subprocess.Popen:
        """Start a command of the package in the background."""
        return self._start(self.alertgrid(*words))

    def _start(self, command: list[str]) -> subprocess.Popen:
        """Start a program in a session of its own, with its output in controller.log."""
        with open(self.folder / "controller.log", "a") as log:
            process = subprocess.Popen(
                command,
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

    def alertgrid(self, command: str, *words: str) -> list[str]:
        """A command of the package."""
        place = ("--study", "toy", "--profile", "profiles/slurm")
        return [sys.executable, "-m", "alertgrid", command, *place, *words, "--", "--config", *self.config]

    def log(self) -> str:
        """What Snakemake has said so far."""
        return (self.folder / "controller.log").read_text()

    def checkpoints(self, seed: int) -> Path:
        """Folder of a run's checkpoints."""
        return self.results / "checkpoints/cell/f1" / f"s{seed}"

    def ask(self, seed: int, what: str) -> None:
        """Leave a word for the trainer of a run (see its docstring)."""
        self.checkpoints(seed).mkdir(parents=True, exist_ok=True)
        (self.checkpoints(seed) / what).touch()

    def hold(self) -> None:
        """Let every run stay in its second epoch."""
        for seed in range(len(self.epochs)):
            self.ask(seed, "hold")

    def release(self, *seeds: int) -> None:
        """Let runs go on: these, or all."""
        for seed in seeds or range(len(self.epochs)):
            (self.checkpoints(seed) / "hold").unlink(missing_ok=True)

    def lines(self, seed: int, name: str) -> list[int]:
        """Epochs that a run has `begun` or `saved`, in order."""
        path = self.checkpoints(seed) / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def holds(self) -> bool:
        """Whether every run is in its second epoch."""
        return all(self.lines(seed, "begun")[-1:] == [1] for seed in range(len(self.epochs)))

    def job_of(self, seed: int) -> str | None:
        """Number of the active Slurm job of a run."""
        jobs = [job for job in scheduler.jobs_in(self.folder) if job.comment == f"rule_train_wildcards_{seed}"]
        return jobs[0].number if jobs else None

    def check_results(self) -> None:
        """Every run has ended as it does undisturbed, bit for bit."""
        for seed, epochs in enumerate(self.epochs):
            alone = self.folder / "alone" / str(seed)
            trainer.train(seed, epochs, 0.0, alone, alone / "run.json")
            ours = self.results / "runs/cell/f1" / f"s{seed}" / "run.json"
            assert ours.read_text() == (alone / "run.json").read_text(), seed

    def check_epochs(self, *disturbances: int) -> None:
        """No epoch is missing, none is begun again but the one that was under way when its run was disturbed."""
        for seed, (epochs, most) in enumerate(zip(self.epochs, disturbances, strict=True)):
            begun = self.lines(seed, "begun")
            assert sorted(set(begun)) == list(range(epochs))
            assert len(begun) - epochs <= most, (seed, begun)
