"""Checkpoints on disk: whole or set aside, two generations, never another training's."""

import pytest
import torch
from alertgrid.checkpoints import Checkpoints
from alertgrid.errors import StudyError
from alertgrid.files import read_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def content(step):
    return {"state": {"epoch": step, "best_loss": float("inf")}, "model": {"weight": torch.full((3,), float(step))}}


def test_two_generations_are_kept_and_the_newest_is_loaded(tmp_path):
    keeper = Checkpoints(tmp_path, "a")
    assert keeper.load() is None
    for step in (1, 2, 3):
        keeper.save(step, content(step), {"epoch": step})
    assert names(tmp_path) == ["progress.json", "step-000000002.ckpt", "step-000000003.ckpt"]
    loaded = Checkpoints(tmp_path, "a").load()
    assert loaded["state"] == {"epoch": 3, "best_loss": float("inf")}
    assert loaded["model"]["weight"].tolist() == [3.0, 3.0, 3.0]
    progress = read_json(tmp_path / "progress.json")
    assert progress["epoch"] == 3
    assert progress["updated"] > 1.7e9
    keeper.clear()
    assert names(tmp_path) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_is_set_aside_and_the_one_before_used(tmp_path, capsys, damage):
    keeper = Checkpoints(tmp_path, "a")
    keeper.save(1, content(1))
    newest = keeper.save(2, content(2))
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    newest.write_bytes({"flip": data, "cut": data[: len(data) // 2], "empty": b""}[damage])
    assert keeper.load()["state"]["epoch"] == 1
    assert "is damaged; the one before is used" in capsys.readouterr().err
    assert names(tmp_path) == ["step-000000001.ckpt", "step-000000002.ckpt.damaged"]
    keeper.clear()
    assert names(tmp_path) == []


def test_all_damaged_means_none(tmp_path):
    keeper = Checkpoints(tmp_path, "a")
    keeper.save(1, content(1)).write_bytes(b"nonsense")
    assert keeper.load() is None


def test_other_settings_are_not_continued(tmp_path, capsys):
    Checkpoints(tmp_path, "a").save(1, content(1))
    assert Checkpoints(tmp_path, "b").load() is None
    assert "belongs to other settings or data" in capsys.readouterr().err
    assert names(tmp_path) == ["step-000000001.ckpt.other"]


def test_what_other_code_began_is_not_continued(tmp_path, capsys):
    Checkpoints(tmp_path, "a", code="old").save(1, content(1))
    assert Checkpoints(tmp_path, "a", code="new").load() is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "other code, so training begins anew; to go on with it instead, stop, bring that code back" in said[0]
    aside = tmp_path / "step-000000001.ckpt.code"
    assert names(tmp_path) == [aside.name]
    aside.rename(aside.with_suffix(""))  # what the line says
    assert Checkpoints(tmp_path, "a", code="old").load()["state"]["epoch"] == 1


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    (tmp_path / ".step-000000007.12345678.ckpt").write_bytes(b"half")
    Checkpoints(tmp_path, "a")
    assert names(tmp_path) == []


def test_nothing_is_written_when_the_guard_objects(tmp_path):
    def object_():
        raise StudyError("lock", "was taken over", "mine", "nothing")

    keeper = Checkpoints(tmp_path, "a", guard=object_)
    with pytest.raises(StudyError, match="taken over"):
        keeper.save(1, content(1))
    assert names(tmp_path) == []


def test_what_was_put_comes_back_to_the_same_training_alone(tmp_path):
    keeper = Checkpoints(tmp_path, "a", "code")
    assert keeper.get("view") is None
    keeper.put("view", content(1))
    assert Checkpoints(tmp_path, "a", "code").get("view")["model"]["weight"].tolist() == [1.0, 1.0, 1.0]
    assert Checkpoints(tmp_path, "b", "code").get("view") is None
    assert Checkpoints(tmp_path, "a", "other").get("view") is None
    path = tmp_path / "part-view.ckpt"
    path.write_bytes(path.read_bytes()[:-1])
    assert keeper.get("view") is None
    keeper.clear()
    assert names(tmp_path) == []
