"""The training engine: recipe, choice of rows, batches, the loop, and whole runs on toy alerts."""

import json
import signal
import threading

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.checkpoints import Checkpoints
from alertgrid.columns import STAMP_SETS
from alertgrid.dataset import open_stamps, read_catalogue
from alertgrid.encoders import ENCODERS, build_encoder
from alertgrid.errors import StudyError
from alertgrid.files import read_json
from alertgrid.models import build_model
from alertgrid.predictions import read_predictions
from alertgrid.training import (
    Recipe,
    RunSpec,
    Sources,
    hardware,
    limit_alerts,
    open_data,
    records,
    select,
    setup,
    train_run,
)  # fmt: skip
from alertgrid.training.augment import apply_symmetry
from alertgrid.training.data import Feed, Table, content_hash, load_data, stamp_feed
from alertgrid.training.interrupts import Interrupted, Watch, find_deadline
from alertgrid.training.loop import Training
from alertgrid.training.randomness import own_randomness, plan_epoch, reseed, steps_per_epoch
from alertgrid.training.recipe import learning_rate_factor
from alertgrid.training.selection import permute_labels
from alertgrid.weights import write_encoder_folder
from toy_training import CPU, MODELS, RECIPE, Tiny, run_toy, same_run, toy_feed, toy_learner, write_toy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def catalogue(files):
    return read_catalogue(files[1])


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


# The recipe


def test_recipe_defaults_are_published():
    recipe = Recipe()
    assert (recipe.epochs, recipe.patience, recipe.batch_size, recipe.warmup_epochs) == (25, 5, 64, 2)
    assert (recipe.betas, recipe.min_improvement, recipe.max_alerts_per_source) == ((0.9, 0.999), 0.005, 100)
    assert Recipe.parse(recipe.settings()) == recipe
    assert json.loads(json.dumps(recipe.settings())) == recipe.settings()


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("leraning_rate", 0.1, "did you mean 'learning_rate'"),
        ("zzz", 1, "unknown key"),
        ("epochs", 0, "an integer from 1"),
        ("epochs", 2.5, "an integer"),
        ("epochs", True, "an integer"),
        ("learning_rate", "1e-4", "a number from 0"),
        ("augment", 1, "true or false"),
        ("precision", "fp16", "one of"),
        ("betas", [0.9], "two numbers"),
        ("betas", [0.9, 1.0], "two numbers"),
    ],
)
def test_recipe_refuses(key, value, match):
    with pytest.raises(StudyError, match=match) as error:
        Recipe.parse({key: value})
    assert error.value.where == f"training.{key}"


def test_recipe_identity_leaves_out_what_only_concerns_the_machine():
    assert Recipe(checkpoint_minutes=1, resident="no").identity() == Recipe().identity()
    assert Recipe(learning_rate=1e-3).identity() != Recipe().identity()


def test_learning_rate_warms_up_and_falls():
    recipe = Recipe(epochs=10, warmup_epochs=2, warmup_start=0.01, final_fraction=0.01)
    assert learning_rate_factor(recipe, 0) == pytest.approx(0.01)
    assert learning_rate_factor(recipe, 1) == pytest.approx(0.505)
    assert learning_rate_factor(recipe, 2) == pytest.approx(1)
    assert learning_rate_factor(recipe, 6) == pytest.approx(0.505)
    assert learning_rate_factor(recipe, 10) == pytest.approx(0.01)
    assert learning_rate_factor(Recipe(epochs=1, warmup_epochs=0), 0) == pytest.approx(1)


def test_learning_rate_follows_torch_schedulers():
    recipe = Recipe(epochs=9, warmup_epochs=3)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=3),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6, eta_min=0.01),
    ]
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[3])
    for epoch in range(9):
        assert learning_rate_factor(recipe, epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


# Which rows, which labels


def test_limit_keeps_the_latest_of_variables_and_random_ones_of_the_others():
    table = pd.DataFrame(
        {
            "objectId": ["v"] * 5 + ["t"] * 5 + ["w"] * 5,
            "source_set": ["vars"] * 5 + ["trues"] * 10,
            "split": ["val"] * 5 + ["train"] * 5 + ["test"] * 5,
            "jd": [3.0, 1.0, 5.0, 2.0, 4.0] * 3,
        }
    )
    kept = limit_alerts(table, 2, seed=0)
    assert kept[:5].tolist() == [False, False, True, False, True]
    assert kept[5:10].sum() == 2
    assert kept[10:].all()
    assert any(limit_alerts(table, 2, seed=seed).tolist() != kept.tolist() for seed in range(1, 6))
    assert limit_alerts(table, 5, seed=0).all()


def test_selection_respects_splits_and_fraction(catalogue):
    half = select(catalogue, fraction=0.5, draw=0, n_max=0)
    whole = select(catalogue, fraction=1.0, draw=0, n_max=0)
    assert set(half.train) < set(whole.train)
    assert np.array_equal(half.test, whole.test)
    for name in ("train", "val", "test"):
        assert (catalogue["split"].to_numpy()[getattr(whole, name)] == name).all()
    assert np.array_equal(whole.labels, catalogue["label"])
    assert len(whole.rows) == len(catalogue)
    assert len(select(catalogue, fraction=1.0, draw=0, n_max=2).train) < len(whole.train)


def test_selection_refuses_a_single_label(catalogue):
    table = catalogue.assign(label=0)
    with pytest.raises(StudyError, match="alerts of both labels"):
        select(table, fraction=1.0, draw=0, n_max=0)


def test_permuted_labels_belong_to_objects_and_keep_the_test_split(catalogue):
    labels = permute_labels(catalogue, seed=3)
    table = catalogue.assign(new=labels)
    assert (table.groupby("objectId")["new"].nunique() == 1).all()
    for split in ("train", "val"):
        objects = table[table["split"] == split].drop_duplicates("objectId")
        assert objects["new"].sum() == objects["label"].sum()
        assert (objects["new"] != objects["label"]).any()
    test = table["split"] == "test"
    assert (table.loc[test, "new"] == table.loc[test, "label"]).all()
    assert np.array_equal(labels, permute_labels(catalogue, seed=3))
    assert not np.array_equal(labels, permute_labels(catalogue, seed=4))


# Chance


def plan(epoch=0, seed=1, **options):
    return plan_epoch(
        seed, epoch, 50, **{"batch_size": 8, "drop_last": True, "augment": True, "device": CPU, **options}
    )


def test_plan_depends_on_seed_and_epoch_alone():
    first, again, later, other = plan(), plan(), plan(epoch=1), plan(seed=2)
    assert all(torch.equal(*pair) for pair in zip(first.order, again.order, strict=True))
    assert first.seeds == again.seeds
    assert not torch.equal(first.order[0], later.order[0])
    assert not torch.equal(first.order[0], other.order[0])
    assert len(first.order) == len(first.symmetry) == len(first.seeds) == 6
    assert torch.cat(first.order).unique().numel() == 48
    assert torch.cat(plan(augment=False).symmetry).eq(0).all()
    assert set(torch.cat(plan(batch_size=50).symmetry).tolist()) == set(range(8))


@pytest.mark.parametrize(
    ("count", "drop_last", "steps"), [(64, True, 8), (70, True, 8), (70, False, 9), (65, False, 8), (3, True, 1)]
)
def test_steps_per_epoch(count, drop_last, steps):
    assert steps_per_epoch(count, 8, drop_last) == steps


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    with own_randomness(CPU):
        reseed(5, CPU)
        first = torch.rand(3)
        reseed(5, CPU)
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)


# Batches


def test_symmetries_are_the_eight_of_the_square():
    stamps = torch.arange(2 * 9, dtype=torch.float16).reshape(1, 2, 3, 3).expand(8, -1, -1, -1)
    views = apply_symmetry(stamps, torch.arange(8))
    wanted = [torch.rot90(flipped, turns, (2, 3)) for flipped in (stamps, stamps.flip(3)) for turns in range(4)]
    for view in range(8):
        assert torch.equal(views[view], wanted[view][view])
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8


@pytest.mark.parametrize("stamps", ["all", "difference", "science_difference", "science_template"])
@pytest.mark.parametrize("resident", ["yes", "no", "auto"])
def test_stamps_are_those_of_the_file(files, stamps, resident):
    rows = np.array([3, 7, 20])
    data = load_data(*files, stamps=stamps, device="cpu", rows=rows, resident=resident)
    feed = stamp_feed(data, rows, np.zeros(len(data.catalogue), np.float32), "joint")
    images, metadata = next(feed.stream([torch.tensor([2, 0])]))
    assert np.array_equal(images.numpy(), open_stamps(files[0])[[20, 3]][:, STAMP_SETS[stamps]])
    assert metadata.shape == (2, 25)
    assert data.channels == len(STAMP_SETS[stamps])


def test_prefetching_gives_the_same_batches(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    table = Table(torch.arange(20.0).reshape(10, 2), torch.tensor([9, 8, 7]), CPU)
    batches = [torch.tensor([0, 2]), torch.tensor([1])]
    found = list(table._prefetch(batches))
    assert [batch.tolist() for batch in found] == [table.take(batch).tolist() for batch in batches]
    meta = Table(table.values, table.rows, torch.device("meta"))
    assert [batch.device.type for batch in meta.stream(batches)] == ["meta", "meta"]
    assert list(meta.stream([])) == []


def test_feed_of_views_takes_the_view_asked_for():
    image = Table(torch.arange(24.0).reshape(24, 1), None, CPU)
    feed = Feed(image, None, torch.zeros(3), rows=np.arange(3), views=8)
    order, turns = [torch.tensor([0, 2])], [torch.tensor([5, 1])]
    assert next(feed.stream(order, turns))[0].flatten().tolist() == [5.0, 17.0]
    assert next(feed.stream(order))[0].flatten().tolist() == [0.0, 16.0]


def test_content_hash_sees_every_column(files, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(files[0].read_bytes())
    assert content_hash(copy) == content_hash(files[0])
    with h5py.File(copy, "r+") as file:
        file["catalogue/magpsf"][3] += 0.1
    assert content_hash(copy) != content_hash(files[0])


# Machine


def test_hardware_choices(monkeypatch):
    assert hardware.choose_device("cpu") == CPU
    assert hardware.choose_device(CPU) is CPU
    assert hardware.available_memory(CPU) > 0
    assert hardware.choose_precision("fp32", CPU, "image") == "fp32"
    assert hardware.choose_precision("auto", CPU, "metadata") == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert hardware.choose_precision("auto", CPU, "image") == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert hardware.choose_precision("auto", CPU, "image") == "bf16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert hardware.choose_device("auto") == CPU
    with pytest.raises(StudyError, match="no GPU is visible"):
        hardware.choose_device("cuda")


def test_arithmetic_is_put_back():
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    with hardware.arithmetic(CPU, threads=1, deterministic=True):
        assert torch.get_num_threads() == 1
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before


def test_record_words(monkeypatch, tmp_path):
    assert records.versions()["torch"] == torch.__version__.split("+")[0]
    assert len(records.git_revision().rstrip("+")) in (40, len("unknown"))
    monkeypatch.setattr(records, "PACKAGES", ("no-such-package",))
    assert records.versions()["no-such-package"] == "absent"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert records.git_revision() == "unknown"
    assert records._driver() == "unknown"


# Deadlines and signals


def test_deadline_is_the_earliest(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert find_deadline() is None
    assert find_deadline(deadline=5.0, budget_seconds=100) == 5.0
    monkeypatch.setenv("SLURM_JOB_END_TIME", "3")
    assert find_deadline(deadline=5.0) == 3.0


def test_watch_remembers_sigterm_and_restores_the_handler():
    before = signal.getsignal(signal.SIGTERM)
    with Watch() as watch:
        assert watch.reason() is None
        watch.check()
        signal.raise_signal(signal.SIGTERM)
        assert watch.reason() == "SIGTERM received"
        with pytest.raises(Interrupted):
            watch.check()
    assert signal.getsignal(signal.SIGTERM) is before
    assert Watch(deadline=0.0).reason() == "the time given to this run is used up"


def test_watch_works_outside_the_main_thread():
    found = []

    def look():
        with Watch() as watch:
            found.append(watch.reason())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [None]


# The loop


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


# Whole runs


def test_every_input_learns_and_leaves_a_whole_folder(files, tmp_path):
    networks = {"image": ("acero_cnn", 0.003), "metadata": ("metadata_net", 0.02), "joint": ("btsbot_cnn", 0.02)}
    for inputs, (architecture, rate) in networks.items():
        folder = tmp_path / inputs
        recipe = {"epochs": 4, "learning_rate": rate, "warmup_epochs": 0}
        record = run_toy(files, folder, inputs=inputs, architecture=architecture, recipe=recipe)
        names = {path.name for path in (folder / "out").iterdir()}
        assert names == {"weights.safetensors", "last.safetensors", "history.csv", "predictions.h5", "run.json"}
        history = pd.read_csv(folder / "out" / "history.csv")
        assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
        assert record["val_auc"] > 0.8
        assert tuple(history.columns) == records.HISTORY_COLUMNS
        assert record == read_json(folder / "out" / "run.json")
        assert record["cell"] == f"{architecture}-none-{inputs}"
        assert [path.name for path in (folder / "checkpoints").iterdir()] == ["finished"]
        predictions = read_predictions(folder / "out" / "predictions.h5")
        assert len(predictions) == record["n_val_alerts"] + (read_catalogue(files[1])["split"] == "test").sum()


def test_a_run_repeats_bit_for_bit_and_seeds_differ(files, tmp_path):
    recipe = {"epochs": 2, "precision": "fp32"}
    state = torch.get_rng_state()
    run_toy(files, tmp_path / "a", recipe=recipe)
    assert torch.equal(state, torch.get_rng_state())
    run_toy(files, tmp_path / "b", recipe={**recipe, "resident": "no", "checkpoint_minutes": 0.0})
    same_run(tmp_path / "a" / "out", tmp_path / "b" / "out")
    run_toy(files, tmp_path / "c", recipe=recipe, seed=2)
    weights = [(tmp_path / name / "out" / "weights.safetensors").read_bytes() for name in "ac"]
    assert weights[0] != weights[1]


def test_runs_may_share_the_data(files, tmp_path):
    recipe = Recipe.parse({**RECIPE, "epochs": 1})
    specs = [
        RunSpec("btsbot_cnn", "none", "image", fraction=0.5, seed=1),
        RunSpec("metadata_net", "none", "metadata", fraction=1.0, seed=1),
    ]
    data = open_data(*files, specs, recipe=recipe, device="cpu")
    for number, spec in enumerate(specs):
        folder = tmp_path / str(number)
        options = {"recipe": recipe, "models": MODELS, "threads": 1}
        train_run(data, spec, output=folder / "out", checkpoints=folder / "checkpoints", **options)
        alone = {"inputs": spec.inputs, "architecture": spec.architecture, "fraction": spec.fraction}
        run_toy(files, tmp_path / f"alone{number}", recipe={"epochs": 1}, **alone)
        same_run(folder / "out", tmp_path / f"alone{number}" / "out")


def test_permuted_run_trains_on_other_labels(files, tmp_path):
    record = run_toy(files, tmp_path, inputs="metadata", architecture="metadata_net", labels="permuted")
    assert record["cell"] == "metadata_net-none-metadata-permuted"
    assert record["labels"] == "permuted"


def test_small_fraction_says_that_a_batch_is_not_full(files, tmp_path, capsys):
    recipe = {"batch_size": 512, "epochs": 1}
    run_toy(files, tmp_path, inputs="metadata", architecture="metadata_net", recipe=recipe)
    assert "less than a batch; kept whole" in capsys.readouterr().err


def test_stamp_sets_change_the_network(files, tmp_path):
    record = run_toy(files, tmp_path, stamps="difference", recipe={"epochs": 1})
    assert record["cell"] == "btsbot_cnn-none-image-difference"
    assert record["settings"]["channels"] == [2]


def test_compile_is_passed_on(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network, mode: asked.append(mode))
    data = type("Data", (), {"device": CPU})
    spec = RunSpec("metadata_net", "none", "metadata", fraction=1.0, seed=1)
    setup.make_learner(Tiny(), toy_feed(), data, spec, Recipe(compile="reduce-overhead"))
    assert asked == ["reduce-overhead"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "maxvit_tiny")) for name in ENCODERS]
)
def test_every_encoder_lowers_a_toy_loss(name):
    rng = np.random.default_rng(0)
    labels = torch.tensor([0.0, 1.0] * 4)
    stamps = torch.from_numpy(rng.normal(0, 0.015, (8, 3, 63, 63)).astype(np.float32))
    stamps[1::2, 2, 29:34, 29:34] += 0.2
    models = {"head": {"widths": [32], "dropout": 0.0}, "cnn": {"dropouts": [0.0, 0.0], "dropout": 0.0}}
    network = build_model(name, "image", 3, models, seed=1)
    learner = toy_learner(network, channels_last=True)
    rate = 5e-3 if name == "btsbot_cnn" else 1e-3  # this one has no normalisation inside, so it starts slowly
    with own_randomness(CPU):
        losses = [float(learner.step((stamps, None), labels, step, rate)) for step in range(12)]
    assert losses[-1] < 0.95 * losses[0]


def test_encoder_weights_are_loaded(files, tmp_path):
    spec = RunSpec("resnet18", "galaxies", "image", fraction=1.0, seed=1)
    data = type("Data", (), {"device": CPU, "stamps": None, "channels": 3})
    encoder = build_encoder("resnet18")
    folder = tmp_path / "encoder"
    texts = {"origin": "test", "revision": "1", "licence": "none", "normalisation": "l2"}
    write_encoder_folder(folder, encoder.backbone.state_dict(), architecture="resnet18", trained_on=["noise"], **texts)
    sources = Sources(encoder=folder)
    assert sources.history()["label"] == "noise"
    assert Sources().history() == {"label": "random"}
    model = setup.initial_model(data, spec, Recipe(), MODELS, sources)
    for name, value in encoder.backbone.state_dict().items():
        assert torch.equal(value, model.encoder.backbone.state_dict()[name]), name
    assert set(Sources(encoder=folder).hashes()) == {"encoder"}
    with pytest.raises(StudyError, match="no such file"):
        Sources(encoder=tmp_path / "nowhere").hashes()


def test_a_gpu_is_asked_in_its_own_words(monkeypatch):
    gpu = torch.device("cuda", 0)
    answers = {
        "is_available": True, "mem_get_info": (7, 9), "max_memory_allocated": 5, "get_device_name": "H200",
        "is_bf16_supported": True,
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *given, answer=answer, **options: answer)
    assert hardware.choose_device("auto") == gpu
    assert hardware.choose_device("cuda") == gpu
    assert hardware.available_memory(gpu) == 7
    assert hardware.peak_memory(gpu) == 5
    assert hardware.device_name(gpu) == "H200"
    assert hardware.choose_precision("auto", gpu, "image") == "bf16"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    with hardware.arithmetic(gpu, threads=None, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
