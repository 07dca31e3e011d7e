"""Frozen fusion: embeddings of eight views, branches that never change, runs that belong together."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.checkpoints import Checkpoints
from alertgrid.errors import StudyError
from alertgrid.files import read_json, write_json
from alertgrid.models import build_fusion
from alertgrid.training import Recipe, RunSpec, Sources, load_data
from alertgrid.training.augment import apply_symmetry
from alertgrid.training.data import stamp_feed
from alertgrid.training.fusion import Embedder, load_branch
from alertgrid.training.interrupts import Interrupted, Watch
from alertgrid.training.records import read_weights
from alertgrid.training.step import Learner
from alertgrid.training.team import train_together
from toy_training import MODELS, RECIPE, run_toy, same_run, write_toy


@pytest.fixture(scope="module")
def branches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("branches")
    files = write_toy(folder)
    recipe = {"epochs": 3, "learning_rate": 0.01, "precision": "fp32"}
    run_toy(files, folder / "image", recipe=recipe)
    run_toy(files, folder / "metadata", inputs="metadata", architecture="metadata_net", recipe=recipe)
    sources = Sources(image_run=folder / "image" / "out", metadata_run=folder / "metadata" / "out")
    return files, sources


def fusion_model(sources, mode="clean"):
    parts = {name: load_branch(folder, name, 3, {}) for name, folder in named(sources).items()}
    return build_fusion(parts["image"], parts["metadata"], {**MODELS, "fusion": {"mode": mode}})


def named(sources):
    return {"image": sources.image_run, "metadata": sources.metadata_run}


def test_embeddings_are_those_of_the_turned_stamps(branches, tmp_path):
    files, sources = branches
    model, data = fusion_model(sources), load_data(*files, device="cpu")
    rows, labels = np.array([5, 9, 11]), np.zeros(len(data.catalogue), np.float32)
    options = {"rows": rows, "labels": labels, "precision": "fp32"}
    keeper = Checkpoints(tmp_path, "x")
    feed = Embedder(model, data, keeper, batch=2, channels_last=True).split("train", all_views=True, **options)
    order, turns = [torch.tensor([2, 0])], [torch.tensor([3, 6])]
    image, metadata = next(feed.stream(order, turns))
    stamps, values = next(stamp_feed(data, rows, labels, "fusion").stream(order))
    model.eval()
    wanted = model.embeddings(apply_symmetry(stamps, turns[0]).float(), values)
    assert torch.allclose(image, wanted[0], atol=1e-6)
    assert torch.allclose(metadata, wanted[1], atol=1e-6)
    assert len(feed) == 3
    single = Embedder(model, data, keeper, batch=8).split("val", all_views=False, **options)
    assert torch.allclose(next(single.stream(order))[0], model.embeddings(stamps.float(), values)[0], atol=1e-6)


@pytest.mark.parametrize("mode", ["clean", "compat"])
def test_fusion_trains_its_head_only(branches, tmp_path, mode):
    files, sources = branches
    models = {"fusion": {**MODELS["fusion"], "mode": mode}}
    options = {"inputs": "fusion", "models": models, "sources": sources}
    record = run_toy(files, tmp_path, recipe={"epochs": 4, "learning_rate": 0.02}, **options)
    assert record["val_auc"] > 0.8
    assert record["n_trained_parameters"] < record["n_parameters"]
    assert set(record["input_hashes"]) == {"dataset", "catalogue", "image_run", "metadata_run"}
    weights, image = read_weights(tmp_path / "out"), read_weights(sources.image_run)
    for name, value in image.items():
        if not name.startswith("head."):
            assert torch.equal(weights[f"image.{name}"], value)
    drifted = not torch.equal(
        weights["metadata.layers.0.running_mean"], read_weights(sources.metadata_run)["layers.0.running_mean"]
    )
    assert drifted == (mode == "compat")


def test_saved_network_gives_the_scores_written(branches, tmp_path):
    from alertgrid.predictions import read_predictions

    files, sources = branches
    run_toy(files, tmp_path, recipe={"epochs": 2}, inputs="fusion", sources=sources)
    model = fusion_model(sources)
    settings = read_json(tmp_path / "out" / "run.json")["settings"]["models"]
    parts = {name: load_branch(folder, name, 3, {}) for name, folder in named(sources).items()}
    model = build_fusion(parts["image"], parts["metadata"], settings)
    model.load_state_dict(read_weights(tmp_path / "out"))
    model.eval()
    data = load_data(*files, device="cpu")
    val = np.flatnonzero(data.catalogue["split"] == "val")
    stamps, values = data.stamps.take(torch.from_numpy(val)), data.metadata.take(torch.from_numpy(val))
    with torch.inference_mode():
        scores = torch.sigmoid(model(stamps.float(), values)).numpy()
    written = read_predictions(tmp_path / "out" / "predictions.h5")
    assert np.allclose(written["score"][: len(val)], scores, atol=1e-6)
    assert (written["candid"][: len(val)].to_numpy() == data.catalogue["candid"].to_numpy()[val]).all()


def test_fusion_resumes_bit_for_bit(branches, tmp_path, monkeypatch):
    files, sources = branches
    options = {"inputs": "fusion", "sources": sources}
    run_toy(files, tmp_path / "whole", **options)
    step, count = Learner.step, []

    def fail(*arguments):
        count.append(1)
        if len(count) == 8:
            raise RuntimeError("killed")
        return step(*arguments)

    monkeypatch.setattr(Learner, "step", fail)
    with pytest.raises(RuntimeError):
        run_toy(files, tmp_path / "cut", recipe={"checkpoint_minutes": 0.0}, **options)
    record = run_toy(files, tmp_path / "cut", recipe={"checkpoint_minutes": 0.0}, **options)
    assert record["resumed"] == 1
    same_run(tmp_path / "whole" / "out", tmp_path / "cut" / "out")


def stop_in_view(number, monkeypatch):
    """Let embedding be asked to stop after a batch of a view; the views begun from here on, and at which alert."""
    whole, begun = Embedder._go_on, []

    def go_on(embedder, part, source, view, *others):
        begun.append((view, part["done"]))
        if len(begun) == number:
            embedder.tick = Watch(deadline=0.0).check
        return whole(embedder, part, source, view, *others)

    monkeypatch.setattr(Embedder, "_go_on", go_on)
    return begun


def test_what_took_long_is_kept_over_a_stop(branches, tmp_path, monkeypatch, capsys):
    files, sources = branches
    options = {"inputs": "fusion", "sources": sources, "recipe": {"score_batch": 32}}
    run_toy(files, tmp_path / "whole", **options)
    monkeypatch.setattr("alertgrid.training.fusion.WORTH_SECONDS", 0.0)
    begun = stop_in_view(6, monkeypatch)
    with pytest.raises(Interrupted):
        run_toy(files, tmp_path / "cut", **options)
    kept = sorted(path.name for path in (tmp_path / "cut" / "checkpoints").glob("part-*"))
    assert kept == [f"part-train-{view}.ckpt" for view in range(6)]
    begun.clear()
    capsys.readouterr()
    record = run_toy(files, tmp_path / "cut", **options)
    assert begun == [(5, 32), (6, 0), (7, 0), (0, 0), (0, 0)]  # the last two are validation and test
    alerts = record["n_train_alerts"]
    left = 3 * alerts - 32
    assert f"embeddings of train {left}/{left} alerts" in capsys.readouterr().err
    assert not list((tmp_path / "cut" / "checkpoints").glob("*.ckpt"))
    same_run(tmp_path / "whole" / "out", tmp_path / "cut" / "out")


def test_processes_that_train_together_take_the_views_that_were_kept(branches, tmp_path, monkeypatch):
    files, sources = branches
    with monkeypatch.context() as patch:
        patch.setattr("alertgrid.training.fusion.WORTH_SECONDS", 0.0)
        stop_in_view(6, patch)
        with pytest.raises(Interrupted):
            run_toy(files, tmp_path, inputs="fusion", sources=sources)
    path = tmp_path / "checkpoints" / "part-train-0.ckpt"
    keeper = Checkpoints(path.parent, torch.load(io.BytesIO(path.read_bytes()[32:]))["fingerprint"])
    keeper.put("train-0", {**keeper.get("train-0"), "seconds": 1e6})
    leading = {"output": tmp_path / "out", "checkpoints": path.parent}
    recipe = Recipe.parse({**RECIPE, "devices": 2})
    # With so little memory each process has its embeddings in a file.
    shared = {"models": MODELS, "sources": sources, "threads": 1, "memory_mb": 1}
    spec = RunSpec("btsbot_cnn", "none", "fusion", fraction=1.0, seed=1)
    record = train_together(*files, spec, recipe=recipe, leading=leading, device="cpu", **shared)
    assert record["devices"] == 2
    assert record["wall_seconds"] > 1e6
    assert "they lie on disk" in (path.parent / "process1.log").read_text()
    assert not list(path.parent.glob("*.ckpt"))


def test_views_that_are_made_fast_are_not_kept(branches, tmp_path, monkeypatch):
    files, sources = branches
    stop_in_view(6, monkeypatch)
    with pytest.raises(Interrupted):
        run_toy(files, tmp_path, inputs="fusion", sources=sources)
    assert not list((tmp_path / "checkpoints").glob("part-*"))


def test_recorded_seconds_hold_the_embeddings_of_all_sessions_and_the_scores(branches, tmp_path, monkeypatch):
    files, sources = branches
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    for owner, name, seconds in ((Embedder, "_go_on", 100.0), (Learner, "step", 1.0), (Learner, "score", 10.0)):
        monkeypatch.setattr(owner, name, slowed(getattr(owner, name), clock, seconds))
    options = {"inputs": "fusion", "sources": sources, "recipe": {"epochs": 2}}
    with monkeypatch.context() as patch:
        stop_in_view(6, patch)
        with pytest.raises(Interrupted):
            run_toy(files, tmp_path, **options)
    record = run_toy(files, tmp_path, **options)
    history = pd.read_csv(tmp_path / "out" / "history.csv")
    steps = history["step"].iloc[-1]
    # Eight views of the training split, one each of the others; two validations, then scores of validation and test.
    assert record["wall_seconds"] == pytest.approx(10 * 100 + steps * 1 + 4 * 10)
    assert history["seconds"].sum() == pytest.approx(steps * 1 + 2 * 10)


def slowed(function, clock, seconds):
    """The function, which now takes so many seconds of a clock."""

    def slow(*given):
        result = function(*given)
        clock[0] += seconds
        return result

    return slow


def test_branches_must_be_named_and_belong_here(branches, tmp_path):
    files, sources = branches
    with pytest.raises(StudyError, match="both, for fusion"):
        run_toy(files, tmp_path, inputs="fusion")
    with pytest.raises(StudyError, match="seed is 1"):
        run_toy(files, tmp_path, inputs="fusion", sources=sources, seed=2)
    swapped = Sources(image_run=sources.metadata_run, metadata_run=sources.image_run)
    with pytest.raises(StudyError, match="inputs is 'metadata'"):
        run_toy(files, tmp_path, inputs="fusion", sources=swapped)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="record of a finished run"):
        load_branch(tmp_path / "empty", "image", 3, {})


def test_branch_weights_must_fit(branches, tmp_path):
    _, sources = branches
    record = read_json(sources.image_run / "run.json")
    record["settings"]["models"]["cnn"]["channels"] = [8, 8]
    write_json(tmp_path / "run.json", record)
    with pytest.raises(StudyError, match="cannot be read"):
        load_branch(tmp_path, "image", 3, {})
    (tmp_path / "weights.safetensors").write_bytes((sources.image_run / "weights.safetensors").read_bytes())
    with pytest.raises(StudyError, match="size mismatch"):
        load_branch(tmp_path, "image", 3, {})
