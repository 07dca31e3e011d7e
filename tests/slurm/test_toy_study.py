"""The toy study of the real workflow through real sbatch, every rule, with a training cancelled half-way."""

import shutil
import subprocess

import pandas as pd
import pytest
from alertgrid.launch import scheduler
from alertgrid.predictions import read_predictions
from alertgrid.status import study_status
from lab import ROOT, Study

CLOCK = ["seconds", "alerts_per_second"]


class Toy(Study):
    """A copy of the project with the toy study."""

    memory_mb = 2500

    def copy_workflow(self):
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("workflow", "profiles", "envs", "tests"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=ignored, symlinks=True)
        shutil.copy(ROOT / "Snakefile", self.folder)
        shutil.copy(ROOT / "tests/toy/config.yaml", self.folder)

    def settings(self, epochs, pace):
        return ["study=toy"]

    def outcome(self):
        """Run -> scores and history without the clock."""
        found = {}
        for run in pd.read_csv(self.results / "grid.csv")["run"]:
            folder = self.results / "runs" / run
            scores = read_predictions(folder / "predictions.h5")
            found[run] = scores, pd.read_csv(folder / "history.csv").drop(columns=CLOCK)
        return found


def check_equal(ours, theirs):
    """Bit for bit the same runs."""
    assert ours.keys() == theirs.keys()
    for run, (scores, history) in ours.items():
        pd.testing.assert_frame_equal(scores, theirs[run][0], check_exact=True, obj=run)
        pd.testing.assert_frame_equal(history, theirs[run][1], check_exact=True, obj=run)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The toy study on this machine, without Slurm."""
    toy = Toy(tmp_path_factory.mktemp("local") / "study")
    done = toy.run(toy.command("--set-threads", "train=1", profile="profiles/local"), seconds=1200)
    assert done.returncode == 0, done.stderr[-4000:]
    return toy.outcome()


def test_the_toy_study_on_slurm_with_a_training_cancelled(undisturbed, slurm, tmp_path):
    toy = Toy(tmp_path / "study")
    process = toy.start()
    job = toy.wait_for(lambda: running_training(toy), 600, process)
    shown = subprocess.run(["scontrol", "show", "job", job.number], capture_output=True, text=True).stdout
    assert "gres:gpu:1" in shown
    scheduler.cancel([job])
    assert toy.finish(process, 1500) == 0, toy.log()[-4000:]
    check_equal(toy.outcome(), undisturbed)
    assert {run.state for run in study_status(toy.results)} == {"done"}
    assert (toy.results / "report/index.html").exists()
    again = toy.run(toy.command("--dry-run"))
    assert "Nothing to be done" in again.stderr, again.stderr[-3000:]


def running_training(toy):
    """The job of a training that has a checkpoint already, if there is one just now."""
    for job in scheduler.jobs_in(toy.folder):
        if job.comment.startswith("rule_train_wildcards_") and job.state == "RUNNING":
            cell, fraction, seed = job.comment.removeprefix("rule_train_wildcards_").rsplit("_", 2)
            if (toy.results / "checkpoints" / cell / f"f{fraction}" / f"s{seed}" / "progress.json").exists():
                return job
    return None
