"""The toy study of the real workflow through real sbatch, every rule: one training cancelled, a pre-training cut short.

No job is warned by a signal here: clock and checkpoints alone carry the work across its time limits.
"""

import shutil

import pandas as pd
import yaml
from alertgrid.files import read_json
from alertgrid.launch import scheduler
from alertgrid.predictions import read_predictions
from alertgrid.status import study_status
from lab import ROOT, Study, slurm

CLOCK = ["seconds", "alerts_per_second"]
CELL, ENCODER = "test_convnext-none-image", "test_convnext-galaxies"
LONG = {"epochs": 60, "patience": 1000, "warmup_epochs": 1}


class Toy(Study):
    """A copy of the project with a part of the toy study, one pre-training and one training made longer."""

    memory_mb = 2500

    def copy_workflow(self):
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("workflow", "profiles", "envs", "tests"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=ignored, symlinks=True)
        shutil.copy(ROOT / "Snakefile", self.folder)
        self.write_config(LONG)

    def write_config(self, pretraining):
        """The toy study with less to do, but for the one pre-training and one training."""
        config = yaml.safe_load((ROOT / "tests/toy/config.yaml").read_text())
        study = config["studies"]["toy"]
        study["grid"] |= {"architectures": ["test_convnext"], "fractions": [0.5, 1.0], "seeds": [0], "exclude": []}
        study["packing"] = 2  # both fractions of a cell in one job
        study["pretraining"]["galaxies"]["training"] = pretraining
        study["training"]["overrides"][CELL] = {"epochs": 25, "patience": 1000}
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def settings(self, epochs, pace):
        return ["study=toy"]

    def runs(self):
        """Folders of all runs."""
        return {run: self.results / "runs" / run for run in pd.read_csv(self.results / "grid.csv")["run"]}

    def train_here(self):
        """Train every run on this machine, without Slurm."""
        first = self.run(self.command("--", "results/toy/grid.csv", profile="profiles/local"))
        assert first.returncode == 0, first.stderr[-4000:]
        records = [str(folder.relative_to(self.folder) / "run.json") for folder in self.runs().values()]
        done = self.run(self.command("--", *records, profile="profiles/local"), seconds=900)
        assert done.returncode == 0, done.stderr[-4000:]

    def command(self, *options, profile="profiles/slurm"):
        return [*super().command(profile=profile), *options]

    def job(self, comment):
        """The active job with this in its comment, if there is one."""
        return next((job for job in scheduler.jobs_in(self.folder) if comment in job.comment), None)

    def under_way(self, cell):
        """The job of a cell's training that has saved two epochs, if there is one just now."""
        files = (self.results / "checkpoints" / cell).rglob("progress.json")
        far = any(read_json(file)["epoch"] >= 2 for file in files)
        return self.job(f"rule_train_{cell}") if far else None


def check_equal(ours, theirs):
    """Bit for bit the same runs and encoder, clocks aside."""
    for (run, folder), other in zip(ours.runs().items(), theirs.runs().values(), strict=True):
        scores = [read_predictions(place / "predictions.h5") for place in (folder, other)]
        histories = [pd.read_csv(place / "history.csv").drop(columns=CLOCK) for place in (folder, other)]
        pd.testing.assert_frame_equal(*scores, check_exact=True, obj=run)
        pd.testing.assert_frame_equal(*histories, check_exact=True, obj=run)
    weights = [study.results / "encoders" / ENCODER / "model.safetensors" for study in (ours, theirs)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_toy_study_on_slurm(request, tmp_path):
    undisturbed = Toy(tmp_path / "local")
    undisturbed.train_here()
    request.getfixturevalue("slurm")  # not before, since the other tests go on meanwhile

    toy = Toy(tmp_path / "study", changes={"pretrain": {"runtime": 1}})
    # A minute is Slurm's shortest limit. The pre-trainer stops so early that it must come back at least once.
    needed = read_json(undisturbed.results / "encoders" / ENCODER / "manifest.json")["wall_seconds"]
    toy.write_config(LONG | {"stop_margin_seconds": max(60 - 6 - needed / 2, 0)})
    process = toy.start()
    pretraining = toy.wait_for(lambda: toy.job("rule_pretrain"), 300, process).number
    training = toy.wait_for(lambda: toy.under_way(CELL), 300, process)
    shown = slurm("scontrol", "show", "job", training.number)
    scheduler.cancel([training])
    assert toy.finish(process, 900) == 0, toy.log()[-4000:]

    assert "gres:gpu:1" in shown
    check_equal(toy, undisturbed)
    assert {run.state for run in study_status(toy.results)} == {"done"}
    assert any(read_json(folder / "run.json")["resumed"] for run, folder in toy.runs().items() if run.startswith(CELL))
    assert "Restarts=0" not in slurm("scontrol", "show", "job", pretraining)
    assert (toy.results / "report/index.html").exists()
    again = toy.run(toy.command("--dry-run"))
    assert "Nothing to be done" in again.stderr, again.stderr[-3000:]
