"""The training loop: it learns, it keeps the best, it stops and goes on bit for bit."""

import signal

import numpy as np
import pytest
import torch
from alertgrid.checkpoints import Checkpoints
from alertgrid.errors import StudyError
from alertgrid.files import read_json
from alertgrid.training import Recipe
from alertgrid.training.interrupts import Interrupted, Watch
from alertgrid.training.loop import Training
from alertgrid.training.randomness import own_randomness
from torch import nn
from toy_training import CPU, RECIPE, Tiny, toy_feed, toy_learner


def training(folder, learner=None, train=None, val=None, watch=None, seed=1, fingerprint="x", **recipe):
    return Training(
        learner or toy_learner(),
        train or toy_feed(),
        val or toy_feed(20, seed=5),
        recipe=Recipe.parse({**RECIPE, **recipe}),
        seed=seed,
        checkpoints=Checkpoints(folder, fingerprint),
        watch=watch or Watch(),
    )


def test_loss_falls_and_repeats(tmp_path):
    first = training(tmp_path / "a", epochs=6, learning_rate=0.05).run()
    again = training(tmp_path / "b", epochs=6, learning_rate=0.05).run()
    losses = [row["train_loss"] for row in first.history]
    assert losses[-1] < 0.6 * losses[0]
    assert losses == [row["train_loss"] for row in again.history]
    other = training(tmp_path / "c", epochs=6, learning_rate=0.05, seed=2).run()
    assert losses != [row["train_loss"] for row in other.history]


def test_best_is_kept_and_patience_ends(tmp_path, monkeypatch):
    # 0.998 is no fall of 0.5 % from 1.0; 0.994 is; then nothing improves for two epochs.
    losses = iter([1.0, 0.998, 0.994, 1.2, 0.993])
    loop = training(tmp_path, epochs=50, patience=2)
    monkeypatch.setattr(loop, "_validate", lambda: (next(losses), 0.5))
    state = loop.run()
    assert [row["best"] for row in state.history] == [1, 0, 1, 0, 0]
    assert (state.best_epoch, state.epoch, state.best_loss) == (3, 5, 0.994)
    last = loop.learner.network.state_dict()
    assert any(not torch.equal(loop.best[name], last[name]) for name in last)


def test_bad_loss_stops_with_place_and_rows(tmp_path):
    feed = toy_feed()
    feed.metadata.values[7] = float("nan")
    with pytest.raises(StudyError, match=r"epoch 1, step \d of 3.*1007") as error:
        training(tmp_path, train=feed).run()
    assert "finite" in error.value.expected


def test_bad_validation_loss_stops(tmp_path):
    feed = toy_feed(20)
    feed.metadata.values[2] = float("inf")
    with pytest.raises(StudyError, match="validation"):
        training(tmp_path, val=feed).run()


class Cramped(Tiny):
    """Runs out of memory above `room` alerts."""

    room = 6

    def forward(self, stamps, metadata):
        if len(metadata) > self.room:
            raise torch.OutOfMemoryError("simulated")
        return super().forward(stamps, metadata)


def test_out_of_memory_halves_and_accumulates(capsys):
    learner, roomy = toy_learner(Cramped()), toy_learner(Tiny())
    roomy.network.load_state_dict(learner.network.state_dict())
    for network in (learner.network, roomy.network):
        network.eval()  # without dropout both see the same function
    feed = toy_feed(16)
    inputs = next(feed.stream([torch.arange(16)]))
    with own_randomness(CPU):
        small = learner.step(inputs, feed.labels, 1, 0.01)
        whole = roomy.step(inputs, feed.labels, 1, 0.01)
    assert learner.micro_batch == 4
    assert "going on with 4 at a time" in capsys.readouterr().err
    assert torch.allclose(small, whole, atol=1e-6)
    for name, value in learner.network.state_dict().items():
        assert torch.allclose(value, roomy.network.state_dict()[name], atol=1e-5), name
    logits = learner.score(feed, "fp32")
    assert learner.score_batch == 4
    assert torch.allclose(logits, roomy.score(feed, "fp32"), atol=1e-5)


def test_out_of_memory_with_one_alert_is_an_error():
    learner = toy_learner(Cramped())
    learner.network.room = 0
    with pytest.raises(StudyError, match="single alert"):
        learner.score(toy_feed(4), "fp32")


def test_out_of_memory_with_cuda_graphs_is_an_error_that_names_the_way_out():
    learner, feed = toy_learner(Cramped(), graphs=True), toy_feed(16)
    with own_randomness(CPU), pytest.raises(StudyError, match="compile=default micro_batch=8"):
        learner.step(next(feed.stream([torch.arange(16)])), feed.labels, 1, 0.01)


class Normalised(Cramped):
    """With batch normalisation, which refuses a single alert."""

    def __init__(self):
        super().__init__()
        self.layers.insert(0, nn.BatchNorm1d(6))


@pytest.mark.parametrize(("count", "micro_batch"), [(64, 21), (64, 7), (5, 2), (3, 2), (7, 1)])
def test_no_piece_of_a_batch_is_too_small_for_batch_normalisation(count, micro_batch):
    learner, feed = toy_learner(Normalised(), micro_batch=micro_batch), toy_feed(count)
    learner.network.room = max(micro_batch, 3)
    with own_randomness(CPU):
        loss = learner.step(next(feed.stream([torch.arange(count)])), feed.labels, 1, 0.01)
    assert torch.isfinite(loss)
    assert learner.micro_batch == micro_batch  # nothing ran out of memory


def test_out_of_memory_never_halves_below_what_batch_normalisation_needs():
    learner, feed = toy_learner(Normalised()), toy_feed(16)
    learner.network.room = 1
    with own_randomness(CPU), pytest.raises(StudyError, match="2 alerts"):
        learner.step(next(feed.stream([torch.arange(16)])), feed.labels, 1, 0.01)
    assert learner.micro_batch == 2


def test_gradient_is_clipped():
    learner = toy_learner(gradient_clip=1e-3)
    feed = toy_feed(16)
    with own_randomness(CPU):
        learner.step(next(feed.stream([torch.arange(16)])), feed.labels, 1, 0.01)
    norm = torch.stack([parameter.grad.norm() for parameter in learner.network.parameters()]).norm()
    assert float(norm) <= 1.001e-3


def test_a_set_smaller_than_a_batch_is_kept(tmp_path):
    state = training(tmp_path, train=toy_feed(9), epochs=2).run()
    assert [row["step"] for row in state.history] == [1, 2]


def test_resumed_at_any_step_equals_uninterrupted(tmp_path, monkeypatch):
    whole = training(tmp_path / "whole", epochs=4)
    whole.run()
    chance = np.random.default_rng(0)
    stops = 0
    while True:
        loop = training(tmp_path / "cut", epochs=4, checkpoint_minutes=0.0)
        left, step = int(chance.integers(1, 4)), loop.learner.step

        def fail(*arguments, left=left, step=step, count=[0]):  # noqa: B006
            count[0] += 1
            if count[0] > left:
                raise RuntimeError("killed")
            return step(*arguments)

        monkeypatch.setattr(loop.learner, "step", fail)
        try:
            state = loop.run()
            break
        except RuntimeError:
            stops += 1
    assert stops >= 3
    assert state.resumed == stops
    for name, value in whole.learner.network.state_dict().items():
        assert torch.equal(value, loop.learner.network.state_dict()[name])
        assert torch.equal(whole.best[name], loop.best[name])
    kept = ("epoch", "step", "learning_rate", "train_loss", "val_loss", "val_auc", "best")
    assert [[row[key] for key in kept] for row in state.history] == [
        [row[key] for key in kept] for row in whole.state.history
    ]


@pytest.mark.parametrize(("before", "asked", "used"), [(0, 8, 8), (8, 4, 4), (4, 8, 4), (4, 0, 4), (0, 0, 0)], ids=str)
def test_what_is_asked_of_a_resumed_run_holds_unless_memory_ran_out_for_it(tmp_path, before, asked, used):
    first = training(tmp_path)
    first.learner.micro_batch = before  # asked for, or what halving left
    first.save()
    resumed = training(tmp_path, toy_learner(micro_batch=asked), micro_batch=asked)
    assert resumed.learner.micro_batch == used


def test_another_precision_after_a_stop_is_said_and_kept_in_mind(tmp_path, capsys):
    training(tmp_path).save()
    training(tmp_path).save()
    assert "goes on in" not in capsys.readouterr().err
    training(tmp_path, toy_learner(precision="bf16")).save()
    assert "training: goes on in bf16 on cpu, after fp32 on another machine" in capsys.readouterr().err
    state = training(tmp_path, toy_learner(precision="bf16")).state
    assert (state.precision, state.precision_changed) == ("bf16", True)
    assert "goes on in" not in capsys.readouterr().err


def test_sigterm_saves_and_leaves(tmp_path, monkeypatch):
    with Watch() as watch:
        loop = training(tmp_path, watch=watch)
        step = loop.learner.step

        def signalled(*arguments):
            signal.raise_signal(signal.SIGTERM)
            return step(*arguments)

        monkeypatch.setattr(loop.learner, "step", signalled)
        with pytest.raises(Interrupted, match="SIGTERM received; saved at epoch 1, step 1 of 3"):
            loop.run()
    progress = read_json(tmp_path / "progress.json")
    assert (progress["epoch"], progress["epochs"], progress["device"]) == (0, 3, "cpu")
    assert training(tmp_path).state.position == 1


def test_stop_during_validation_keeps_the_epoch(tmp_path, monkeypatch):
    class Late(Watch):
        def check(self):
            raise Interrupted("late")

    with pytest.raises(Interrupted, match="late; saved at epoch 1, step 3 of 3"):
        training(tmp_path, watch=Late()).run()
    resumed = training(tmp_path)
    assert resumed.state.position == 3
    whole = training(tmp_path / "whole")
    assert [row["val_loss"] for row in resumed.run().history] == [row["val_loss"] for row in whole.run().history]


def test_stop_after_an_epoch(tmp_path, monkeypatch):
    loop = training(tmp_path)
    reasons = iter([None, None, None, "enough"])
    monkeypatch.setattr(loop.watch, "reason", lambda: next(reasons))
    monkeypatch.setattr(loop.watch, "check", lambda: None)
    with pytest.raises(Interrupted, match="enough; saved at epoch 2, step 0"):
        loop.run()
