"""A published model judged on the alerts of a study, without any training."""

import numpy as np
import pytest
import torch
from alertgrid.dataset import open_stamps, read_catalogue, read_metadata
from alertgrid.entrants import predict_published
from alertgrid.errors import StudyError
from alertgrid.files import read_json, sha256, write_json
from alertgrid.predictions import read_predictions
from alertgrid.tables.records import read_entrant
from alertgrid.weights import published
from published_models import CNN, fusion, put, upstream
from toy_training import write_toy


@pytest.fixture
def model(tmp_path):
    return put(tmp_path / "BTSbot-some", fusion(CNN), upstream(fusion(CNN)))


def test_a_released_model_scores_the_rows_of_a_study(model, tmp_path):
    dataset, catalogue = write_toy(tmp_path)
    record = predict_published(model, dataset, catalogue, tmp_path / "out", device="cpu", batch=7, threads=1)
    table, found = read_catalogue(catalogue), read_predictions(tmp_path / "out" / "predictions.h5")
    rows = np.flatnonzero(table["split"].isin(["val", "test"]))
    assert found["candid"].tolist() == table["candid"].iloc[rows].tolist()
    network = published.load_published(model)
    with torch.no_grad():
        stamp, values = torch.from_numpy(open_stamps(dataset)[rows].astype("f4")), read_metadata(dataset)[rows]
        expected = torch.sigmoid(network(stamp, torch.from_numpy(values))).numpy()
    np.testing.assert_allclose(found["score"], expected, rtol=1e-4)
    assert len(np.unique(found["score"])) > 10
    assert record["n_alerts"] == len(rows)


def test_the_record_says_where_the_model_comes_from(model, tmp_path):
    dataset, catalogue = write_toy(tmp_path)
    hashes = {name: sha256(model / name) for name in ("pytorch_model.bin", "train_config.json")}
    write_json(model / "manifest.json", {"origin": "hub:a/b", "revision": "c" * 40, "licence": "mit", "files": hashes})
    predict_published(model, dataset, catalogue, tmp_path / "named", name="named", device="cpu")
    record = read_json(tmp_path / "named" / "run.json")
    assert record["model_hashes"] == hashes
    assert (record["origin"], record["revision"], record["network"]) == ("hub:a/b", "c" * 40, "frozen_fusion")
    row = read_entrant(tmp_path / "named" / "predictions.h5").iloc[0]
    assert row["cell"] == "named"
    assert row["alerts_per_second"] == pytest.approx(record["n_alerts"] / record["wall_seconds"])
    assert row["model_hashes.pytorch_model.bin"] == hashes["pytorch_model.bin"]


def test_changed_weights_are_refused_before_anything_is_scored(model, tmp_path):
    dataset, catalogue = write_toy(tmp_path)
    write_json(model / "manifest.json", {"files": {"pytorch_model.bin": "0" * 64}})
    with pytest.raises(StudyError, match="changed since it was fetched"):
        predict_published(model, dataset, catalogue, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
