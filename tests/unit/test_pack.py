"""Several runs in one process: the same bits as alone, failures kept apart, nothing finished is trained again."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from alertgrid import status
from alertgrid.__main__ import main
from alertgrid.checkpoints import Checkpoints
from alertgrid.errors import Interrupted, StudyError
from alertgrid.files import read_json
from alertgrid.grid import RUN_FILES
from alertgrid.training import Pack, Recipe, RunSpec, plan, run, train_pack
from alertgrid.training.finished import Finished
from alertgrid.training.hardware import forget_peak, peak_memory
from alertgrid.training.loop import Training
from toy_training import CPU, MODELS, RECIPE, run_toy, same_run, write_toy

METADATA = {"architecture": "metadata_net", "pretraining": "none", "inputs": "metadata"}
PLACES = ((1.0, 0, 0), (0.5, 1, 0), (1.0, 2, 0))
NAMES = ["metadata_net-none-metadata/f1/s0", "metadata_net-none-metadata/f0.5/s1", "metadata_net-none-metadata/f1/s2"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def make_pack(files, folder, places=PLACES, recipe=None, axes=METADATA, **options) -> Pack:
    specs = [RunSpec(**axes, fraction=fraction, seed=seed, draw=draw) for fraction, seed, draw in places]
    given = {"recipe": Recipe.parse({**RECIPE, **(recipe or {})}), "models": MODELS, "code": "1", "device": "cpu"}
    roots = {"runs": folder / "runs", "checkpoints": folder / "checkpoints"}
    return Pack(specs, *files, **roots, threads=1, **{**given, **options})


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A folder in which the pack was trained to its end."""
    folder = tmp_path_factory.mktemp("trained")
    assert train_pack(make_pack(files, folder)) == {}
    return folder


@pytest.fixture
def copy(trained, tmp_path) -> Path:
    """The same, after Snakemake has removed what the job had made."""
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    return tmp_path


def count_trained(monkeypatch) -> list[str]:
    """Names of the runs that are trained from here on."""
    names, whole = [], Training.run
    monkeypatch.setattr(Training, "run", lambda training: names.append(training.name) or whole(training))
    return names


# As if each were alone


def test_names_are_those_of_the_grid(trained):
    assert sorted(
        str(path.parent.relative_to(trained / "runs")) for path in trained.rglob("runs/**/run.json")
    ) == sorted(NAMES)


@pytest.mark.parametrize("number", range(3))
def test_a_run_in_a_pack_has_the_bits_of_a_run_alone(files, trained, tmp_path, number):
    fraction, seed, draw = PLACES[number]
    run_toy(files, tmp_path, **METADATA, fraction=fraction, seed=seed, draw=draw)
    same_run(trained / "runs" / NAMES[number], tmp_path / "out")


def test_image_runs_share_stamps_and_fusion_finds_its_branches(files, tmp_path):
    places = [(0.5, 3, 0), (1.0, 3, 0)]
    image = {"architecture": "btsbot_cnn", "pretraining": "none", "inputs": "image"}
    cells = {"image_cell": "btsbot_cnn-none-image", "metadata_cell": "metadata_net-none-metadata"}
    for axes in (image, METADATA):
        assert train_pack(make_pack(files, tmp_path, places, axes=axes)) == {}
    assert train_pack(make_pack(files, tmp_path, places, axes={**image, "inputs": "fusion"}, **cells)) == {}
    run_toy(files, tmp_path / "alone", fraction=0.5, seed=3)
    same_run(tmp_path / "runs/btsbot_cnn-none-image/f0.5/s3", tmp_path / "alone/out")
    record = read_json(tmp_path / "runs/btsbot_cnn-none-fusion/f0.5/s3/run.json")
    assert record["input_hashes"].keys() == {"dataset", "catalogue", "image_run", "metadata_run"}


def test_the_peak_of_memory_is_each_runs_own():
    large = torch.ones(60_000_000)
    assert peak_memory(CPU) > large.nbytes
    before = peak_memory(CPU)
    del large
    forget_peak(CPU)
    assert peak_memory(CPU) < before - 200_000_000


# Failures and stops


def fail_in(monkeypatch, seeds, error):
    """Let training of these seeds fail."""
    whole = Training.train_epoch

    def train_epoch(training, progress):
        if training.seed in seeds and training.state.epoch == 1:
            raise error
        whole(training, progress)

    monkeypatch.setattr(Training, "train_epoch", train_epoch)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StudyError("here", "the loss is nan", "a finite loss", "lower it"), "here: the loss is nan"),
        (torch.OutOfMemoryError("no room"), "OutOfMemoryError: no room"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28]"),
    ],
)
def test_a_failing_run_leaves_the_others_alone(files, tmp_path, monkeypatch, error, said):
    with monkeypatch.context() as patch:
        fail_in(patch, {1}, error)
        failures = train_pack(make_pack(files, tmp_path))
    assert list(failures) == [NAMES[1]]
    assert failures[NAMES[1]].startswith(said)
    assert [(tmp_path / "runs" / name / "run.json").exists() for name in NAMES] == [True, False, True]
    shutil.rmtree(tmp_path / "runs")  # as Snakemake does after the job has failed
    found = {name: status.status_of(tmp_path, name, 0.0, "pack", False) for name in NAMES}
    assert [run.state for run in found.values()] == ["done", "failed", "done"]
    assert found[NAMES[1]].message.startswith(said)
    assert found[NAMES[1]].epoch == 1
    names = count_trained(monkeypatch)
    assert train_pack(make_pack(files, tmp_path)) == {}
    assert names == ["metadata_net-none-metadata f0.5 s1"]
    assert read_json(tmp_path / "runs" / NAMES[1] / "run.json")["resumed"] == 1
    assert not (tmp_path / "checkpoints" / NAMES[1] / "failed.json").exists()


def test_the_command_names_failed_runs_and_returns_1(files, tmp_path, monkeypatch, capsys):
    fail_in(monkeypatch, {1, 2}, StudyError("here", "the loss is nan", "a finite loss", "lower it"))
    options = {"dataset": files[0], "catalogue": files[1], "runs": tmp_path / "runs", "checkpoints": tmp_path / "c"}
    options |= {**METADATA, "training": json.dumps(RECIPE), "models": json.dumps(MODELS), "device": "cpu"}
    words = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    words += [str(word) for place in PLACES for word in ("--run", *place)]
    assert main(["train", *words]) == 1
    said = capsys.readouterr()
    assert f"error: {NAMES[1]}: here: the loss is nan" in said.err
    assert f"error: {NAMES[2]}: here: the loss is nan" in said.err
    assert len(said.out.splitlines()) == 1
    for place in (["x", "1", "0"], ["0.5", "1.5", "0"], ["2", "1", "0"]):
        assert main(["train", *words, "--run", *place]) == 1
        assert f"--run {' '.join(place)}: names no run" in capsys.readouterr().err


def test_a_run_without_alerts_of_one_label_leaves_the_others_alone(files, tmp_path, monkeypatch):
    whole = plan.select

    def select(*data, fraction, **settings):
        if fraction == 0.01:
            raise StudyError("train", "no alert with label 1", "both labels", "a larger fraction")
        return whole(*data, fraction=fraction, **settings)

    monkeypatch.setattr(plan, "select", select)
    failures = train_pack(make_pack(files, tmp_path, [(0.01, 0, 0), *PLACES]))
    assert list(failures) == ["metadata_net-none-metadata/f0.01/s0"]


def test_without_data_every_run_has_failed(files, tmp_path):
    failures = train_pack(make_pack((tmp_path / "nowhere.h5", files[1]), tmp_path))
    assert list(failures) == NAMES
    assert (tmp_path / "checkpoints" / NAMES[2] / "failed.json").exists()


def test_a_run_that_another_job_trains_is_left_to_it(files, tmp_path, monkeypatch):
    from alertgrid.locks import hold

    monkeypatch.setattr(run, "HANDOVER_SECONDS", 0.1)
    with hold(tmp_path / "checkpoints" / NAMES[0] / "lock.json", "training"):
        failures = train_pack(make_pack(files, tmp_path))
    assert list(failures) == [NAMES[0]]
    assert "already under way" in failures[NAMES[0]]


def test_a_signal_ends_the_whole_pack_even_when_a_run_had_just_ended(files, tmp_path, monkeypatch):
    whole = run.write

    def late(*parts):
        os.kill(os.getpid(), signal.SIGTERM)
        return whole(*parts)

    with monkeypatch.context() as patch:
        patch.setattr(run, "write", late)
        with pytest.raises(Interrupted, match="SIGTERM received"):
            train_pack(make_pack(files, tmp_path))
    assert [(tmp_path / "runs" / name / "run.json").exists() for name in NAMES] == [True, False, False]
    assert train_pack(make_pack(files, tmp_path)) == {}


def test_a_deadline_ends_the_whole_pack(files, tmp_path):
    with pytest.raises(Interrupted, match="used up"):
        train_pack(make_pack(files, tmp_path, deadline=1.0))
    assert not (tmp_path / "runs").exists()


# Nothing computed is lost


def test_finished_runs_come_back_without_training(files, trained, copy, monkeypatch, capsys):
    names = count_trained(monkeypatch)
    monkeypatch.setattr("alertgrid.training.pack.open_data", None)  # nor are the data opened
    assert train_pack(make_pack(files, copy)) == {}
    assert names == []
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["kept"] * 3
    for name in NAMES:
        for file in RUN_FILES:
            assert (copy / "runs" / name / file).read_bytes() == (trained / "runs" / name / file).read_bytes()
            assert (copy / "runs" / name / file).samefile(copy / "checkpoints" / name / "finished" / file)


def test_a_new_run_is_the_only_one_trained(files, copy, monkeypatch):
    names = count_trained(monkeypatch)
    assert train_pack(make_pack(files, copy, [*PLACES, (1.0, 5, 0)])) == {}
    assert names == ["metadata_net-none-metadata f1 s5"]


@pytest.mark.parametrize(
    "change",
    [{"code": "2"}, {"recipe": {"learning_rate": 0.002}}, {"models": {**MODELS, "metadata": {"widths": [16, 4]}}}],
)
def test_other_code_or_settings_train_again(files, copy, monkeypatch, capsys, change):
    names = count_trained(monkeypatch)
    assert train_pack(make_pack(files, copy, **change)) == {}
    assert len(names) == 3
    assert "belongs to other settings, data or code; it is removed" in capsys.readouterr().err


def test_other_data_train_again(copy, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    names = count_trained(monkeypatch)
    assert train_pack(make_pack(write_toy(tmp_path / "other", count=170), copy)) == {}
    assert len(names) == 3


def test_the_same_data_made_again_keep_the_runs(files, copy, tmp_path, monkeypatch):
    (tmp_path / "again").mkdir()
    names = count_trained(monkeypatch)
    assert train_pack(make_pack(write_toy(tmp_path / "again"), copy)) == {}
    assert names == []


@pytest.mark.parametrize("file", [*RUN_FILES, "finished.json"])
def test_a_truncated_or_missing_file_trains_again(files, copy, trained, monkeypatch, file):
    names = count_trained(monkeypatch)
    damaged = copy / "checkpoints" / NAMES[0] / "finished" / file
    damaged.write_bytes(damaged.read_bytes()[:-9])
    (copy / "checkpoints" / NAMES[1] / "finished" / file).unlink()
    assert train_pack(make_pack(files, copy)) == {}
    assert names == ["metadata_net-none-metadata f1 s0", "metadata_net-none-metadata f0.5 s1"]
    same_run(copy / "runs" / NAMES[0], trained / "runs" / NAMES[0])


def test_where_links_fail_copies_are_kept(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError("no links here")))
    kept = Finished(tmp_path / "checkpoints", "x")
    kept.keep(trained / "runs" / NAMES[0])
    assert kept.restore(tmp_path / "out")
    assert not (tmp_path / "out/run.json").samefile(tmp_path / "checkpoints/finished/run.json")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(RUN_FILES)


def test_checkpoints_of_a_finished_run_are_gone(trained):
    for name in NAMES:
        assert [path.name for path in (trained / "checkpoints" / name).iterdir()] == ["finished"]
    assert Checkpoints(trained / "checkpoints" / NAMES[0], "x").load() is None
