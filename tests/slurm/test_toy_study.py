"""The toy study of the real workflow through real sbatch, every rule: a training cancelled, a pre-training warned.

Slurm warns a job before its limit by SIGTERM; here the test does, since limits are minutes.
"""

import shutil

import pandas as pd
import pytest
import yaml
from alertgrid.files import read_json
from alertgrid.launch import scheduler
from alertgrid.predictions import read_predictions
from alertgrid.status import study_status
from lab import ROOT, Study, slurm

CLOCK = ["seconds", "alerts_per_second"]
CELL, ENCODER = "test_convnext-none-image", "test_convnext-galaxies"
# Long enough that a test can meet them half-way.
LONG = {"epochs": 25, "patience": 1000}
# Folder of checkpoints, rule, and what is done to its job.
PLACES = ((f"encoders/{ENCODER}", "rule_pretrain", ["--signal=TERM"]), (CELL, f"rule_train_{CELL}", []))


class Toy(Study):
    """A copy of the project with a part of the toy study, one pre-training and one training made longer."""

    memory_mb = 2500

    def copy_workflow(self):
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("workflow", "profiles", "envs", "tests"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=ignored, symlinks=True)
        shutil.copy(ROOT / "Snakefile", self.folder)
        config = yaml.safe_load((ROOT / "tests/toy/config.yaml").read_text())
        self.change(config["studies"]["toy"])
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def change(self, study):
        """What differs from the toy study."""
        study["grid"] |= {"architectures": ["test_convnext"], "fractions": [0.5, 1.0], "seeds": [0], "exclude": []}
        study["packing"] = 2  # both fractions of a cell in one job
        study["pretraining"]["galaxies"]["training"] = LONG
        study["training"]["overrides"][CELL] = LONG

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

    def under_way(self, name, rule):
        """The job of a training that has saved two epochs, if there is one just now."""
        files = (self.results / "checkpoints" / name).rglob("progress.json")
        return self.job(rule) if any(read_json(file)["epoch"] >= 2 for file in files) else None


class Searched(Toy):
    """The toy study with a search of the custom CNN's learning rate."""

    def change(self, study):
        study["grid"] |= {"architectures": ["btsbot_cnn"], "inputs": ["image"], "fractions": [1.0], "seeds": [0]}
        ranges = {"training.learning_rate": {"low": 1.0e-4, "high": 1.0e-2, "log": True}}
        study["tuning"] = {"btsbot_cnn": {"ranges": ranges, "trials": 2, "at_once": 2}}
        study["training"]["tuned"] = True


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

    toy = Toy(tmp_path / "study")
    process = toy.start()
    met = {}

    def disturbed():
        """Warn the pre-training and cancel the training, each when it is under way."""
        for name, rule, words in PLACES:
            if name not in met and (job := toy.under_way(name, rule)):
                met[name] = job.number, slurm("scontrol", "show", "job", job.number)
                slurm("scancel", *words, job.number)
        return len(met) == len(PLACES)

    toy.wait_for(disturbed, 900, process)
    assert toy.finish(process, 1500) == 0, toy.log()[-4000:]

    assert all("gres:gpu:1" in shown for _, shown in met.values())
    check_equal(toy, undisturbed)
    assert {run.state for run in study_status(toy.results)} == {"done"}
    assert any(read_json(folder / "run.json")["resumed"] for run, folder in toy.runs().items() if run.startswith(CELL))
    assert "Restarts=0" not in slurm("scontrol", "show", "job", met[PLACES[0][0]][0])
    assert (toy.results / "report/index.html").exists()
    again = toy.run(toy.command("--dry-run"))
    assert "Nothing to be done" in again.stdout + again.stderr, again.stdout[-3000:]


@pytest.mark.usefixtures("slurm")
def test_a_search_by_its_rule_is_an_array_that_asks_for_gpus(tmp_path):
    study = Searched(tmp_path / "study")
    run = "btsbot_cnn-none-image/f1/s0"
    done = study.run(study.command("--", f"results/toy/runs/{run}/run.json"), seconds=900)
    assert done.returncode == 0, done.stderr[-4000:]
    best = yaml.safe_load((study.results / "tuning/btsbot_cnn-none-image/best.yaml").read_text())
    trained = read_json(study.results / "runs" / run / "run.json")["settings"]["training"]
    assert trained["learning_rate"] == best["settings"]["training"]["learning_rate"]
    scripts = {path.read_text() for path in (study.results / "checkpoints/tuning").rglob("*_submission.sh")}
    (script,) = scripts  # one array, of which each task keeps a copy
    assert {"#SBATCH --gres=gpu:1", "#SBATCH --partition=gpu", "#SBATCH --array=0-1%2"} <= set(script.splitlines())
