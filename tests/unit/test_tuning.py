"""Tuning on a toy objective: the right settings are found, hopeless trials pruned, interrupted ones continued."""

import os
import signal

import optuna
import pandas as pd
import pytest
import yaml
from alertgrid.errors import StudyError
from alertgrid.locks import hold
from alertgrid.tuning.journal import Search, suggest
from alertgrid.tuning.results import importance_table
from alertgrid.tuning.search import _check, _shares, tune
from alertgrid.tuning.worker import Worker
from optuna.trial import FixedTrial, TrialState

RANGES = {
    "training.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "models.head.dropout": {"low": 0.0, "high": 0.8},
    "training.batch_size": {"choices": [32, 64]},
    "models.head.widths": {"choices": [[256, 8], [16]]},
    "training.warmup_epochs": {"low": 0, "high": 4},
}


class Bowl:
    """Lowest at a learning rate of 1e-3, dropout 0.2, widths [16]; notes every call and epoch in its folder."""

    epochs = 6

    def __call__(self, settings, folder, report):
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        rate, head = settings["training"]["learning_rate"], settings["models"]["head"]
        value = (np.log10(rate) + 3) ** 2 + (head["dropout"] - 0.2) ** 2 + (head["widths"] != [16])
        state = folder / "epochs"
        for epoch in range(len(state.read_text().split()) if state.exists() else 0, self.epochs):
            self.begin(epoch, folder)
            with open(state, "a") as file:
                file.write(f"{epoch}\n")
            report(epoch, value + 1 / (epoch + 1))
        return value

    def begin(self, epoch, folder):
        """Nothing goes wrong here."""


class Interrupted(Bowl):
    """Once, in the fourth epoch of the third trial, Slurm's warning arrives."""

    def begin(self, epoch, folder):
        if epoch == 3 and folder.name == "t2" and not (folder / "warned").exists():
            (folder / "warned").touch()
            os.kill(os.getpid(), signal.SIGUSR2)


class Killed(Bowl):
    """Once, in the second trial, the worker dies without a word."""

    def begin(self, epoch, folder):
        if epoch == 2 and folder.name == "t1" and not (folder / "killed").exists():
            (folder / "killed").touch()
            raise KeyboardInterrupt


class Broken(Bowl):
    """Fails whenever the batch is 64, or always."""

    def __init__(self, always=False):
        self.always = always

    def __call__(self, settings, folder, report):
        if self.always or settings["training"]["batch_size"] == 64:
            raise ValueError("out of memory")
        return super().__call__(settings, folder, report)


@pytest.fixture
def search(tmp_path):
    """A search in a folder of its own."""
    return Search(tmp_path / "search", RANGES, seed=1, startup_trials=4, warmup_epochs=1)


def table(search):
    """trials.csv."""
    return pd.read_csv(search.folder / "trials.csv")


def test_settings_are_drawn_within_their_ranges_and_nested():
    names = {"training.learning_rate": 1e-3, "models.head.dropout": 0.1, "training.batch_size": "64"}
    trial = FixedTrial({**names, "models.head.widths": "[16]", "training.warmup_epochs": 2})
    settings = suggest(trial, RANGES)
    assert settings == {
        "training": {"learning_rate": 1e-3, "batch_size": 64, "warmup_epochs": 2},
        "models": {"head": {"dropout": 0.1, "widths": [16]}},
    }


def test_a_search_finds_the_bottom_prunes_and_says_what_mattered(search):
    study = tune(search, Bowl(), trials=30, cluster="debug")
    best = yaml.safe_load((search.folder / "best.yaml").read_text())
    assert best["value"] == study.best_value < 0.3
    assert best["settings"]["models"]["head"]["widths"] == [16]
    assert 1e-4 < best["settings"]["training"]["learning_rate"] < 1e-2
    trials = table(search)
    assert len(trials) == 30
    assert set(trials["state"]) == {"complete", "pruned"}
    assert (trials.loc[trials["state"] == "pruned", "epochs"] < Bowl.epochs).all()
    importance = pd.read_csv(search.folder / "importance.csv")
    assert importance["setting"].iloc[0] == "training.learning_rate"
    assert importance["importance"].sum() == pytest.approx(1)


def test_one_worker_repeats_itself_with_the_same_seed(search, tmp_path):
    other = Search(tmp_path / "other", RANGES, seed=1, startup_trials=4, warmup_epochs=1)
    for one in (search, other):
        tune(one, Bowl(), trials=12, cluster="debug")
    volatile = ["seconds"]
    pd.testing.assert_frame_equal(table(search).drop(columns=volatile), table(other).drop(columns=volatile))


def test_a_second_start_adds_only_what_is_missing(search):
    tune(search, Bowl(), trials=3, cluster="debug")
    tune(search, Bowl(), trials=5, cluster="debug")
    assert len(table(search)) == 5
    tune(search, Bowl(), trials=5, cluster="debug")
    assert len(table(search)) == 5


def test_a_dead_worker_s_trial_goes_on_in_its_folder(search):
    study = search.open()
    worker = Worker(search, Killed(), 4, 0)
    with pytest.raises(KeyboardInterrupt):
        worker()
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE, TrialState.RUNNING]
    tune(search, Killed(), trials=4, cluster="debug")
    trials = table(search)
    assert trials["state"].tolist().count("replaced") == 1
    assert (trials["state"] != "replaced").sum() == 4
    assert trials.loc[2, "folder"] == "t1"
    settings = list(RANGES)
    assert trials.loc[2, settings].tolist() == trials.loc[1, settings].tolist()
    assert (search.folder / "trials/t1/epochs").read_text().split() == list("012345")


def test_a_failed_trial_is_recorded_and_the_search_goes_on(search):
    tune(search, Broken(), trials=8, cluster="debug")
    failed = table(search).query("state == 'fail'")
    assert 0 < len(failed) < 8
    assert (failed["error"] == "ValueError: out of memory").all()


def test_a_search_without_success_is_an_error(search):
    with pytest.raises(StudyError, match=r"no trial succeeded: \['ValueError: out of memory'\]"):
        tune(search, Broken(always=True), trials=2, cluster="debug")


def test_two_searches_in_one_folder_are_refused(search):
    with hold(search.folder / "lock.json", "tuning"), pytest.raises(StudyError, match="already under way"):
        tune(search, Bowl(), trials=1, cluster="debug")


def test_a_lost_worker_is_an_error(search):
    with pytest.raises(StudyError, match="a worker was lost: gone"):
        _check(search, search.open(), [1, RuntimeError("gone")])


def test_importance_needs_two_different_values(search):
    study = search.open()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert importance_table(study).empty


def test_shares_add_up():
    assert _shares(7, 3) == [3, 2, 2]
    assert _shares(-1, 2) == [0, 0]


def test_workers_share_one_journal_and_survive_a_time_limit(search, child_path):
    tune(search, Interrupted(), trials=6, workers=2, cluster="local")
    trials = table(search)
    assert (trials["state"] != "replaced").sum() == 6
    assert trials["state"].tolist().count("replaced") == (search.folder / "trials/t2/warned").exists() == 1
    assert (search.folder / "trials/t2/epochs").read_text().split()[:4] == list("0123")


class Unlucky(Bowl):
    """Fails in its third epoch for as long as the disk is full."""

    def __init__(self, full):
        self.full = full

    def begin(self, epoch, folder):
        if epoch == 2 and self.full:
            raise OSError("No space left on device")


def test_trials_that_failed_go_on_at_the_next_start(search):
    with pytest.raises(StudyError, match="No space left") as refusal:
        tune(search, Unlucky(full=True), trials=3, cluster="debug")
    assert str(search.folder) in refusal.value.remedy
    tune(search, Unlucky(full=False), trials=3, cluster="debug")
    trials = table(search)
    assert trials["state"].tolist()[:3] == ["replaced"] * 3
    assert set(trials["state"][3:]) <= {"complete", "pruned"}
    assert trials["folder"].tolist() == ["t0", "t1", "t2"] * 2
    assert (search.folder / "trials/t0/epochs").read_text().split() == list("012345")


def test_within_a_start_a_failed_trial_is_not_tried_again(search):
    with pytest.raises(StudyError, match="no trial succeeded"):
        tune(search, Broken(always=True), trials=2, cluster="debug")
    assert len(search.open().get_trials()) == 2
    with pytest.raises(StudyError, match="no trial succeeded"):
        tune(search, Broken(always=True), trials=2, cluster="debug")
    assert len(search.open().get_trials()) == 4


class Seen(Bowl):
    """Notes the GPUs that it may use."""

    def begin(self, epoch, folder):
        (folder / "gpus").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))


@pytest.mark.parametrize("visible", ["1", None])
def test_trials_on_this_machine_see_its_gpus(search, child_path, monkeypatch, visible):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    tune(search, Seen(), trials=1, cluster="local")
    assert (search.folder / "trials/t0/gpus").read_text() == (visible or "all")


class Told(Bowl):
    """Once, in the second trial, its worker is asked to end; it listens to no signal itself."""

    def begin(self, epoch, folder):
        if epoch == 2 and folder.name == "t1" and not (folder / "told").exists():
            (folder / "told").touch()
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_worker_that_is_asked_to_end_leaves_its_trial_open(search, child_path):
    with pytest.raises(StudyError, match="a worker was lost"):
        tune(search, Told(), trials=3, cluster="local")
    assert (search.folder / "trials/t1/epochs").read_text().split() == list("012")
    tune(search, Told(), trials=3, cluster="local")
    assert table(search)["state"].tolist().count("replaced") == 1
    assert (search.folder / "trials/t1/epochs").read_text().split()[:4] == list("0123")
