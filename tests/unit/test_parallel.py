"""Several processes train one run: the same batches, the same curve, the same scores, and it resumes."""

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.errors import Interrupted, StudyError
from alertgrid.files import read_json
from alertgrid.predictions import read_predictions
from alertgrid.training import Recipe, RunSpec, parallel
from alertgrid.training.randomness import EpochPlan, own_randomness
from alertgrid.training.team import train_together
from toy_training import MODELS, RECIPE, run_toy, same_run, toy_feed, toy_learner, write_toy

# The draws of dropout belong to a process, so only networks without it can have the same curve.
PLAIN = {
    "cnn": {**MODELS["cnn"], "dropouts": [0.0, 0.0], "dropout": 0.0},
    "metadata": {"widths": [16, 8], "dropout": 0.0},
}
# Sums of float32 in another order differ by some 1e-7. Training amplifies that, as it does any other rounding: measured
# 1e-6 of the loss after three epochs of this run and 8e-4 after five, when the loss has fallen to an eighth.
EXACT, CURVE = 2e-6, 2e-3
SPEC = {"architecture": "btsbot_cnn", "pretraining": "none", "inputs": "image", "fraction": 1.0, "seed": 1}


def together(files, folder, *, recipe=None, models=PLAIN, deadline=None, **spec):
    """As `run_toy`, by two processes."""
    values = Recipe.parse({**RECIPE, "precision": "fp32", "devices": 2, **(recipe or {})})
    leading = {"output": folder / "out", "checkpoints": folder / "checkpoints", "deadline": deadline}
    shared = {"models": {**MODELS, **models}, "threads": 1}
    return train_together(*files, RunSpec(**{**SPEC, **spec}), recipe=values, leading=leading, device="cpu", **shared)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pair(files, tmp_path_factory):
    """The same run by one process and by two."""
    folder = tmp_path_factory.mktemp("runs")
    # The last batch of an epoch is smaller and odd.
    recipe = {"drop_last": False, "batch_size": 21, "precision": "fp32", "learning_rate": 0.02, "epochs": 5}
    models = {**PLAIN, "input_normalisation": "sigma3"}
    run_toy(files, folder / "one", recipe=recipe, models=models)
    together(files, folder / "two", recipe=recipe, models=models)
    return folder / "one" / "out", folder / "two" / "out"


def test_two_processes_have_the_curve_of_one(pair):
    one, two = (pd.read_csv(folder / "history.csv") for folder in pair)
    assert one["step"].equals(two["step"])
    assert one["learning_rate"].equals(two["learning_rate"])
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(two[column][:2], one[column][:2], rtol=EXACT, err_msg=column)
        np.testing.assert_allclose(two[column], one[column], rtol=0, atol=CURVE, err_msg=column)
    assert one["train_loss"].iloc[-1] < one["train_loss"].iloc[0] / 2  # it does learn


def test_their_scores_agree_and_the_record_says_how_many_trained(pair):
    one, two = (read_predictions(folder / "predictions.h5") for folder in pair)
    assert one[["candid", "split"]].equals(two[["candid", "split"]])
    np.testing.assert_allclose(two["score"], one["score"], rtol=0, atol=10 * CURVE)
    records = [read_json(folder / "run.json") for folder in pair]
    assert [record["devices"] for record in records] == [1, 2]
    assert records[0]["n_train_alerts"] == records[1]["n_train_alerts"]


def test_batch_normalisation_sees_the_share_of_its_process_on_a_cpu(files, tmp_path):
    names = {"architecture": "metadata_net", "inputs": "metadata"}
    recipe = {"precision": "fp32", "batch_size": 32}
    run_toy(files, tmp_path / "one", recipe=recipe, models=PLAIN, **names)
    together(files, tmp_path / "two", recipe=recipe, **names)
    one, two = (pd.read_csv(tmp_path / name / "out" / "history.csv") for name in ("one", "two"))
    difference = (two["train_loss"] / one["train_loss"] - 1).abs().max()
    assert 10 * EXACT < difference < 0.1


@pytest.mark.parametrize("micro_batch", [5, 10])
def test_odd_batches_in_small_pieces_neither_hang_nor_change_the_curve(files, pair, tmp_path, micro_batch):
    # Shares of 11 and 10 alerts: in pieces of 5 or 10 one process needs one more than the other.
    recipe = {"drop_last": False, "batch_size": 21, "learning_rate": 0.02, "epochs": 2, "micro_batch": micro_batch}
    together(files, tmp_path, recipe=recipe, models={**PLAIN, "input_normalisation": "sigma3"})
    found, whole = (pd.read_csv(folder / "history.csv")["train_loss"] for folder in (tmp_path / "out", pair[0]))
    np.testing.assert_allclose(found[0], whole[0], rtol=EXACT)


def test_a_stopped_run_goes_on_bit_for_bit(files, tmp_path):
    recipe = {"checkpoint_minutes": 0.0}
    together(files, tmp_path / "whole", recipe=recipe, models=MODELS)
    with pytest.raises(Interrupted, match="used up"):
        together(files, tmp_path / "parts", recipe={**recipe, "stop_margin_seconds": 0.0}, models=MODELS, deadline=1.0)
    assert list((tmp_path / "parts" / "checkpoints").glob("step-*.ckpt"))
    # `status` counts the time of both devices.
    assert read_json(tmp_path / "parts" / "checkpoints" / "progress.json")["devices"] == 2
    record = together(files, tmp_path / "parts", recipe=recipe, models=MODELS)
    assert record["resumed"] == 1
    same_run(tmp_path / "whole" / "out", tmp_path / "parts" / "out")


def test_the_error_of_a_process_is_the_error_of_the_run(files, tmp_path):
    with pytest.raises(StudyError, match=r"is \[0\]"):
        together(files, tmp_path, architecture="resnet18", models={"head": {"widths": [0]}})


def as_one_of_two(monkeypatch, number):
    """A learner that takes itself for one of two processes."""
    monkeypatch.setattr(parallel, "size", lambda: 2)
    monkeypatch.setattr(parallel, "rank", lambda: number)
    values = vars(toy_learner())
    return parallel.SharedLearner(**values, wrapped=values["network"])


def test_out_of_memory_names_the_setting_that_helps(monkeypatch):
    learner, feed = as_one_of_two(monkeypatch, 0), toy_feed(8)
    learner.whole = {1: 16}

    def full(*given):
        raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr(learner, "forward", full)
    with own_randomness(learner.device), pytest.raises(StudyError, match=r'machine: "micro_batch=N" in the profile'):
        learner.step(next(feed.stream([torch.arange(8)])), feed.labels, 1, 0.01)


@pytest.mark.parametrize(
    ("micro_batch", "least", "smallest", "largest", "parts"),
    [
        (0, 1, 10, 11, 1), (5, 1, 10, 11, 3), (10, 1, 10, 11, 2), (11, 1, 10, 11, 1), (1, 1, 2, 3, 2),
        (64, 1, 10, 11, 1), (1, 2, 2, 3, 1), (2, 2, 10, 11, 5),
    ],
)  # fmt: skip
def test_all_processes_take_as_many_pieces(monkeypatch, micro_batch, least, smallest, largest, parts):
    learner = as_one_of_two(monkeypatch, 0)
    learner.micro_batch, learner.least = micro_batch, least
    assert learner.count_parts(smallest, largest) == parts


def test_every_alert_of_a_batch_belongs_to_one_process_and_tiny_batches_to_all(monkeypatch):
    order = [torch.arange(7), torch.arange(7, 10)]
    plan = EpochPlan(order, [torch.zeros_like(part) for part in order], [11, 12])
    shares = []
    for number in (0, 1):
        with monkeypatch.context() as patch:
            learner = as_one_of_two(patch, number)
            mine = learner.mine(plan)
            shares.append(mine.order)
            assert learner.whole == {11: 7, 12: 3}
            assert [len(part) for part in mine.symmetry] == [len(part) for part in mine.order]
            assert learner.positions(toy_feed(9)).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8]][number]
    assert torch.cat([shares[0][0], shares[1][0]]).tolist() == list(range(7))
    assert shares[0][1].tolist() == shares[1][1].tolist() == [7, 8, 9]
