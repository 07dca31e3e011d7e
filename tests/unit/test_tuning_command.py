"""`tune` on a real training of the metadata network: settings reach the run, the best are written, a stop goes on."""

import argparse
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from alertgrid import tuning, tuning_command
from alertgrid.errors import Interrupted
from alertgrid.files import read_json
from alertgrid.launch.profile import read_profile
from toy_training import MODELS, RECIPE, write_toy

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
RANGES = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "models.metadata.widths": {"choices": [[8, 4], [16, 8]]},
}


def options(*words):
    """Parsed options of the command."""
    parser = argparse.ArgumentParser()
    tuning_command.add_tune_arguments(parser)
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
    assert tuning_command.run_tune(options(*words)) == 0
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


def test_an_interrupted_trial_stays_open_and_goes_on(words, tmp_path, monkeypatch):
    train = tuning_command.TrainingObjective.__call__

    def stop(*given):
        raise Interrupted("SIGTERM received")

    monkeypatch.setattr(tuning_command.TrainingObjective, "__call__", stop)
    worker = tuning.Worker(
        tuning.Search(tmp_path / "tuning", RANGES),
        tuning_command.TrainingObjective(tmp_path, tmp_path, {}, {}, {}),
        share=1,
        number=0,
    )
    with pytest.raises(Interrupted):
        worker()
    monkeypatch.setattr(tuning_command.TrainingObjective, "__call__", train)
    tuning_command.run_tune(options(*words))
    trials = pd.read_csv(tmp_path / "tuning" / "trials.csv")
    assert trials["state"].tolist() == ["replaced", "complete", "complete", "complete"]
    assert trials.loc[1, "folder"] == trials.loc[0, "folder"] == "t0"


def test_workers_ask_for_what_the_profile_s_trainings_ask(words):
    asked = tuning_command._parameters(options(*words), read_profile(PROFILES / "slurm"))
    expected = {"timeout_min": 240, "mem_gb": 16.0, "cpus_per_task": 1}
    assert asked == expected | {"slurm_partition": "gpu", "slurm_gres": "gpu:1"}
    assert tuning_command._parameters(options(*words), read_profile(PROFILES / "local")) == expected
