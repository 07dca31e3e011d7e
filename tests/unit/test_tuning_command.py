"""`tune` on a real training of the metadata network: settings reach the run, the best are written, a stop goes on."""

import argparse
import json
import os
import signal
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
import submitit
import yaml
from alertgrid.errors import Interrupted, StudyError
from alertgrid.figures.tuning import write_tuning_figures
from alertgrid.files import read_json
from alertgrid.launch.profile import read_profile
from alertgrid.tuning import command
from alertgrid.tuning.journal import Search
from alertgrid.tuning.worker import Worker
from toy_training import MODELS, RECIPE, write_toy

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
RANGES = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "models.metadata.widths": {"choices": [[8, 4], [16, 8]]},
}


def options(*words):
    """Parsed options of the command."""
    parser = argparse.ArgumentParser()
    command.add_tune_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def words(tmp_path):
    """Options of a small search."""
    dataset, catalogue = write_toy(tmp_path)
    return [
        *("--dataset", str(dataset), "--catalogue", str(catalogue), "--output", str(tmp_path / "tuning")),
        *("--architecture", "metadata_net", "--inputs", "metadata", "--trials", "3", "--cluster", "debug"),
        *("--training", json.dumps({**RECIPE, "overrides": {}}), "--models", json.dumps(MODELS), "--device", "cpu"),
        *("--ranges", json.dumps(RANGES), "--profile", str(PROFILES / "local")),
    ]


def test_a_search_trains_with_the_drawn_settings(words, tmp_path, capsys):
    assert command.run_tune(options(*words)) == 0
    folder = tmp_path / "tuning"
    best = yaml.safe_load((folder / "best.yaml").read_text())
    trials = pd.read_csv(folder / "trials.csv")
    assert best["value"] == trials["value"].min()
    record = read_json(folder / "trials" / f"t{best['trial']}" / "run" / "run.json")
    assert record["best_val_loss"] == best["value"]
    assert record["settings"]["training"]["learning_rate"] == best["settings"]["training"]["learning_rate"]
    assert record["settings"]["models"]["metadata"]["widths"] == best["settings"]["models"]["metadata"]["widths"]
    assert record["settings"]["training"]["epochs"] == RECIPE["epochs"]
    assert f"trial {best['trial']}" in capsys.readouterr().out


def test_every_epoch_is_reported_and_a_hopeless_trial_leaves_no_checkpoint(words, tmp_path):
    seen = []

    def report(epoch, value):
        seen.append((epoch, value))
        if epoch == 2 and settings["training"]["learning_rate"] < 1e-8:
            raise optuna.TrialPruned

    objective = command._objective(options(*words))
    settings = {"training": {"learning_rate": 0.01}}
    value = objective(settings, tmp_path / "good", report)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert value == min(loss for _, loss in seen)
    settings["training"]["learning_rate"] = 1e-9
    with pytest.raises(optuna.TrialPruned):
        objective(settings, tmp_path / "hopeless", report)
    assert len(seen) == 5
    assert not (tmp_path / "hopeless" / "checkpoints").exists()
    assert not (tmp_path / "hopeless" / "run").exists()


def test_other_settings_are_another_search(words, tmp_path):
    search = ["--search", str(tmp_path / "searches"), "--trials", "1"]
    assert command.run_tune(options(*words, *search)) == 0
    assert command.run_tune(options(*words, *search)) == 0
    assert len(list((tmp_path / "searches").iterdir())) == 1
    assert len(pd.read_csv(tmp_path / "tuning" / "trials.csv")) == 1
    narrower = json.dumps({"training.learning_rate": {"low": 1e-3, "high": 1e-2}})
    assert command.run_tune(options(*words, *search, "--ranges", narrower)) == 0
    assert len(list((tmp_path / "searches").iterdir())) == 2


def identity(*words):
    """Name of the folder of a search."""
    given = options(*words)
    return command._identity(command._objective(given), given)


def test_a_search_is_known_by_its_alerts_and_its_code(words, tmp_path):
    known = identity(*words)
    with open(tmp_path / "dataset.h5", "ab") as file:  # other bytes, the same alerts
        file.write(bytes(100))
    assert identity(*words) == known
    assert identity(*words, "--code", "abc") != known
    assert identity(*words, "--code", "abc") == identity(*words, "--code", "abc")


def nothing(epoch, value):
    """Reports nothing."""


def test_a_trial_stops_before_the_end_of_its_job_and_goes_on_from_its_last_step(words, tmp_path, monkeypatch):
    objective = command._objective(options(*words))
    undisturbed = objective({}, tmp_path / "undisturbed", nothing)
    monkeypatch.setattr(command, "end_of_job", lambda: time.time() + 10)  # within the margin of 60 s
    with pytest.raises(Interrupted, match=r"time given to this run is used up; saved at epoch 1, step 1 "):
        objective({}, tmp_path / "trial", nothing)
    monkeypatch.undo()
    assert objective({}, tmp_path / "trial", nothing) == undisturbed
    assert read_json(tmp_path / "trial" / "run" / "run.json")["resumed"] == 1


def test_a_trial_saves_before_submitit_hears_its_warning(words, tmp_path):
    def requeue(number, frame):
        heard.append(list((tmp_path / "trial" / "checkpoints").glob("step-*.ckpt")))

    def warn(epoch, value):
        os.kill(os.getpid(), signal.SIGUSR2)
        assert not heard

    heard, before = [], signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(Interrupted, match="SIGUSR2 received"):
            command._objective(options(*words))({}, tmp_path / "trial", warn)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert len(heard) == 1
    assert heard[0]


def test_the_importance_is_drawn_or_its_absence_explained(words, tmp_path):
    command.run_tune(options(*words))
    captions = read_json(tmp_path / "tuning" / "captions.json")["figures"]
    figure = captions["tuning_metadata_net-none-metadata"]
    assert {path.name for path in (tmp_path / "tuning").glob("*.p??")} >= set(figure["files"])
    assert "3 trials" in figure["caption"]
    (tmp_path / "tuning" / "importance.csv").write_text("setting,importance,n_trials\n")
    skipped = write_tuning_figures(tmp_path / "tuning", "a-b-image")["skipped"]
    assert "two finished trials" in skipped["tuning_a-b-image"]


def test_an_interrupted_trial_stays_open_and_goes_on(words, tmp_path, monkeypatch):
    train = command.TrainingObjective.__call__

    def stop(*given):
        raise Interrupted("SIGTERM received")

    monkeypatch.setattr(command.TrainingObjective, "__call__", stop)
    worker = Worker(
        Search(tmp_path / "tuning", RANGES),
        command.TrainingObjective(tmp_path, tmp_path, {}, {}, {}),
        share=1,
        number=0,
    )
    with pytest.raises(Interrupted):
        worker()
    monkeypatch.setattr(command.TrainingObjective, "__call__", train)
    command.run_tune(options(*words))
    trials = pd.read_csv(tmp_path / "tuning" / "trials.csv")
    assert trials["state"].tolist() == ["replaced", "complete", "complete", "complete"]
    assert trials.loc[1, "folder"] == trials.loc[0, "folder"] == "t0"


def test_the_workflow_says_what_a_trial_asks_of_slurm(words):
    trial = {"partition": "gpu", "gres": "gpu:1", "mem_mb": 48000, "runtime": 240, "account": "a"}
    cluster, asked = command.place(options(*words, "--trial", json.dumps(trial)))
    assert cluster == "debug"
    slurm = {"slurm_partition": "gpu", "slurm_gres": "gpu:1", "slurm_account": "a"}
    assert asked == slurm | {"mem_gb": 48.0, "timeout_min": 240, "cpus_per_task": 1}
    words.remove("--cluster")
    words.remove("debug")
    assert command.place(options(*words, "--trial", json.dumps(trial)))[0] == "slurm"
    assert command.place(options(*words, "--trial", "{}"))[0] == "local"


@pytest.mark.parametrize("name", ["slurm", "slurm-gpus", "slurm-nodbd"])
def test_what_a_profile_says_of_trials_stands_in_their_batch_script(words, slurm, tmp_path, name):
    (slurm / "srun").write_text("#!/bin/sh\n")
    (slurm / "srun").chmod(0o755)
    asked = yaml.safe_load((PROFILES / name / "profile.yaml").read_text())["set-resources"]["tune"]
    trial = {key.removeprefix("trial_"): value for key, value in asked.items() if key.startswith("trial_")}
    given = options(*words, "--trial", json.dumps(trial))
    executor = submitit.AutoExecutor(tmp_path, cluster="slurm")
    executor.update_parameters(**command.place(given)[1])
    script = executor._executor._make_submission_file_text("true", "1")
    wanted = {f"--partition={trial['partition']}", "--time=240", "--mem=48GB", "--cpus-per-task=4"}
    wanted |= {f"--gres={trial['gres']}"} if "gres" in trial else {f"--gpus-per-node={trial['gpu']}"}
    assert wanted <= {line.removeprefix("#SBATCH ") for line in script.splitlines()}
    assert command._objective(given).threads == 4


@pytest.mark.parametrize(
    ("machine", "said"), [("devices=2", "rule tune uses one"), ("epochs=3", "'epochs' is unknown")]
)
def test_how_trials_may_not_use_the_machine_is_said_before_any_starts(words, tmp_path, machine, said):
    with pytest.raises(StudyError, match=said):
        command.run_tune(options(*words, "--machine", machine))
    assert not (tmp_path / "tuning").exists()


def test_trials_use_the_machine_as_told(words, tmp_path):
    command.run_tune(options(*words, "--machine", "score_batch=32"))
    records = [read_json(path)["settings"]["training"] for path in (tmp_path / "tuning").rglob("run.json")]
    assert {record["score_batch"] for record in records} == {32}


def test_workers_ask_for_what_the_profile_s_trainings_ask(words):
    asked = command._parameters(options(*words), read_profile(PROFILES / "slurm"))
    expected = {"timeout_min": 240, "mem_gb": 16.0, "cpus_per_task": 1}
    assert asked == expected | {"slurm_partition": "gpu", "slurm_gres": "gpu:1"}
    assert command._parameters(options(*words), read_profile(PROFILES / "local")) == expected
