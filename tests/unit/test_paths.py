"""Files and folders that a study names: variables replaced, absent ones refused before any job."""

from __future__ import annotations

import subprocess
import sys

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


def test_files_to_watch_are_those_that_the_reader_opens(tmp_path):
    (tmp_path / "packets").mkdir()
    for name in ("packets/b.avro", "packets/a.avro", "notes.txt", "labels.csv"):
        (tmp_path / name).write_text("")
    data = {"source": "avro", "dtype": "float16", "folder": str(tmp_path), "labels": str(tmp_path / "labels.csv")}
    watched = ["labels.csv", "packets/a.avro", "packets/b.avro"]
    assert paths.source_files(data) == [tmp_path / name for name in watched]
    assert paths.source_files({"source": "simulation", "seed": 3}) == []
    assert paths.source_files({"source": "des", "dtype": "float16", "file": str(tmp_path / "labels.csv")}) == [
        tmp_path / "labels.csv"
    ]
    for name in ("val_cand_v1.csv", "val_triplets_v1.npy", "val_cand.csv", "test_triplets_v1.npy"):
        (tmp_path / name).write_text("")
    published = {"source": "btsbot", "dtype": "float16", "folder": str(tmp_path), "version": "v1", "splits": ["val"]}
    assert paths.source_files(published) == [tmp_path / "val_cand_v1.csv", tmp_path / "val_triplets_v1.npy"]


def test_files_to_watch_need_no_package_that_decodes_them(tmp_path):
    (tmp_path / "a.avro").write_text("")
    hidden = ["astropy", "fastavro", "galsim", "h5py", "torch"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "from alertgrid.settings.paths import source_files\n"
        f"print(len(source_files({{'source': 'avro', 'folder': {str(tmp_path)!r}, 'labels': ''}})))\n"
        "print(len(source_files({'source': 'btsbot', 'folder': '.'}) + source_files({'source': 'simulation'})))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["1", "0"]


def test_files_of_local_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert paths.weight_files(tmp_path) == [str(tmp_path / "config.json")]
    assert paths.weight_files("weights.pt") == ["weights.pt"]
