"""Files and folders that a study names: variables replaced, absent ones refused before any job."""

from __future__ import annotations

import pandas as pd
import pytest
from alertgrid.errors import StudyError
from alertgrid.settings import paths


def test_paths_are_filled_in_and_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("SURVEY", str(tmp_path))
    (tmp_path / "alerts.csv").write_text("")
    found = paths.existing_paths({"labels": "$SURVEY/alerts.csv", "seed": 3}, "studies.mine.data")
    assert found == {"labels": str(tmp_path / "alerts.csv"), "seed": 3}
    with pytest.raises(StudyError, match=r"studies\.mine\.data\.folder: .*nowhere does not exist"):
        paths.existing_paths({"folder": "$SURVEY/nowhere"}, "studies.mine.data")


def test_local_weights_must_exist_for_the_networks_of_the_grid(tmp_path):
    (tmp_path / "resnet18.pt").write_text("")
    spec = {"mine": {"file": f"{tmp_path}/{{architecture}}.pt"}, "galaxies": {"corpus": {}}}
    grid = pd.DataFrame(
        {"architecture": ["resnet18", "resnet18@96", "btsbot_cnn"], "pretraining": ["mine"] * 2 + ["none"]}
    )
    assert paths.local_specs(spec, grid, "pretraining") == spec
    assert paths.local_path(spec["mine"], "resnet18@96") == f"{tmp_path}/resnet18.pt"
    with pytest.raises(StudyError, match=r"pretraining\.mine\.file: .*btsbot_cnn\.pt does not exist"):
        paths.local_specs(spec, grid.assign(pretraining="mine"), "pretraining")


def test_files_to_watch(tmp_path):
    (tmp_path / "packets").mkdir()
    for name in ("b.avro", "a.avro"):
        (tmp_path / "packets" / name).write_text("")
    data = {"source": "avro", "folder": str(tmp_path), "labels": "labels.csv"}
    assert paths.source_files(data) == ["labels.csv", *(tmp_path / "packets" / name for name in ("a.avro", "b.avro"))]
    assert paths.source_files({"source": "simulation"}) == []
    (tmp_path / "config.json").write_text("{}")
    assert paths.weight_files(tmp_path) == [str(tmp_path / "config.json")]
    assert paths.weight_files("weights.pt") == ["weights.pt"]
