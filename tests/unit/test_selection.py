"""Which rows a run trains on and which labels it learns from."""

import numpy as np
import pandas as pd
import pytest
from alertgrid.dataset import read_catalogue
from alertgrid.errors import StudyError
from alertgrid.splits import assign_splits
from alertgrid.training import limit_alerts, select
from alertgrid.training.selection import permute_labels
from toy_training import write_toy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def catalogue(files):
    return read_catalogue(files[1])


def test_limit_keeps_the_latest_of_variables_and_random_ones_of_the_others():
    table = pd.DataFrame(
        {
            "objectId": ["v"] * 5 + ["t"] * 5 + ["w"] * 5,
            "source_set": ["vars"] * 5 + ["trues"] * 5 + ["vars"] * 5,
            "split": ["train"] * 10 + ["test"] * 5,
            "jd": [3.0, 1.0, 5.0, 2.0, 4.0] * 3,
        }
    )
    kept = limit_alerts(table, 2, seed=0)
    assert kept[:5].tolist() == [False, False, True, False, True]
    assert kept[5:10].sum() == 2
    assert kept[10:].all()
    assert any(limit_alerts(table, 2, seed=seed).tolist() != kept.tolist() for seed in range(1, 6))
    assert limit_alerts(table, 5, seed=0).all()


def test_every_limit_of_training_alerts_is_judged_on_the_same_alerts(catalogue):
    table = catalogue.assign(source_set="vars")
    studied = assign_splits(table, policy="keep", variables_keep=3)
    few, many = (select(studied, fraction=1.0, draw=0, n_max=limit) for limit in (1, 3))
    assert len(few.train) < len(many.train)
    assert np.array_equal(few.val, many.val)
    assert np.array_equal(few.test, many.test)
    # The catalogue's own limit is the one of BTSbot: what it leaves is what a run with that limit was judged on.
    judged = table[table["split"] != "train"]
    latest = judged.groupby("objectId")["jd"].rank(method="first", ascending=False) <= 3
    assert np.array_equal(np.union1d(many.val, many.test), np.sort(judged.index[latest]))


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
