"""Splits: by object, leak-free, nested, stratified, the same again with the same seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alertgrid.errors import StudyError
from alertgrid.splits import assign_splits, training_rows
from alertgrid.training.selection import select
from alerts import make_chunk
from hypothesis import given, settings
from hypothesis import strategies as st


def make_catalogue(count=600, objects=200, seed=0):
    catalogue = make_chunk(count, objects, seed).catalogue
    return catalogue.assign(stamp_digest=np.arange(count))


@given(seed=st.integers(0, 1000), objects=st.integers(40, 120))
@settings(max_examples=15, deadline=None)
def test_no_object_and_no_stamp_lies_in_two_splits(seed, objects):
    rng = np.random.default_rng(seed)
    catalogue = make_catalogue(300, objects, 0)
    catalogue["stamp_digest"] = np.where(rng.random(300) < 0.05, 7, catalogue["stamp_digest"] + 1000)
    # Five per cent of the alerts share one stamp: their objects must stay together.
    result = assign_splits(catalogue, policy="redraw", shares=(0.5, 0.25, 0.25), seed=seed)
    assert result.groupby("objectId")["split"].nunique().max() == 1
    assert result.groupby("stamp_digest")["split"].nunique().max() == 1


def test_shares_hold_within_every_source_set():
    result = assign_splits(make_catalogue(), policy="redraw", shares=(0.6, 0.2, 0.2), seed=1)
    counts = result.drop_duplicates("objectId").groupby(["source_set", "split"]).size().unstack()
    assert counts["test"].tolist() == [10] * 4
    assert counts["val"].tolist() == [10] * 4


def test_fractions_are_nested_stratified_and_leave_val_and_test_alone():
    result = assign_splits(make_catalogue(), policy="redraw", seed=1, draws=3)
    train = result["split"] == "train"
    for draw in range(3):
        tenth, third, whole = (training_rows(result, fraction, draw) for fraction in (0.1, 0.3, 1.0))
        assert (tenth <= third).all()
        assert (third <= whole).all()
        assert (whole == train).all()
        objects = result[third].drop_duplicates("objectId").groupby("source_set").size()
        share = objects / result[train].drop_duplicates("objectId").groupby("source_set").size()
        assert share.between(0.28, 0.34).all()
        assert (
            result[tenth]
            .groupby("objectId")
            .size()
            .equals(result[train & result["objectId"].isin(result.loc[tenth, "objectId"])].groupby("objectId").size())
        )
    assert not (training_rows(result, 0.3, 0) == training_rows(result, 0.3, 1)).all()


def test_same_seed_same_splits_other_seed_others():
    first, again, other = (assign_splits(make_catalogue(), policy="redraw", seed=seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(first, again)
    assert not first["split"].equals(other["split"])


def test_more_draws_leave_the_earlier_ones():
    few, many = (assign_splits(make_catalogue(), policy="redraw", seed=5, draws=draws) for draws in (1, 4))
    assert few["order_0"].equals(many["order_0"])


def test_published_splits_are_kept():
    catalogue = make_catalogue()
    catalogue["split"] = np.where(catalogue["objectId"].str[-1] < "6", "train", "val")
    catalogue.loc[catalogue["objectId"].str[-1] > "7", "split"] = "test"
    assert assign_splits(catalogue, policy="keep")["split"].equals(catalogue["split"])


def test_leaks_in_published_splits_stop_the_study_with_the_offenders():
    catalogue = make_catalogue()
    catalogue["split"] = np.where(np.arange(len(catalogue)) < 300, "train", "test")
    catalogue.loc[0, "split"] = "val"
    with pytest.raises(StudyError, match=r"200 in more than one split: ZTF23a0000 \(test, train, val\)"):
        assign_splits(catalogue, policy="keep")
    catalogue["split"] = np.where(catalogue["objectId"] < "ZTF23a0100", "train", "test")
    catalogue.loc[[0, 150], "stamp_digest"] = -1
    with pytest.raises(StudyError, match=r"byte-identical stamp: 1 in .* ZTF23a0000 = ZTF23a0150"):
        assign_splits(catalogue, policy="keep")


def test_missing_empty_and_one_sided_splits_are_refused():
    catalogue = make_catalogue()
    with pytest.raises(StudyError, match="has no published split"):
        assign_splits(catalogue, policy="keep")
    catalogue["split"] = np.where(catalogue["objectId"] < "ZTF23a0100", "train", "test")
    with pytest.raises(StudyError, match="splits, val: has no alerts"):
        assign_splits(catalogue, policy="keep")
    catalogue.loc[(catalogue["split"] == "test") & (catalogue["label"] == 1), "split"] = "val"
    with pytest.raises(StudyError, match=r"splits, val: has labels \[1\]"):
        assign_splits(catalogue, policy="keep")


def test_alerts_that_no_run_predicts_take_no_part_in_the_test():
    whole = assign_splits(make_catalogue(), policy="redraw", shares=(0.5, 0.25, 0.25), seed=1)
    thinned = assign_splits(make_catalogue(), policy="redraw", shares=(0.5, 0.25, 0.25), seed=1, variables_keep=2)
    gone = thinned["split"] == ""
    assert gone.any()
    assert set(whole.loc[gone, "split"]) == {"val", "test"}
    assert thinned[~gone].equals(whole[~gone])
    for _, alerts in thinned[thinned["source_set"] == "vars"].groupby("objectId"):
        judged = alerts[alerts["split"].isin(["val", "test"])]
        assert len(judged) <= 2 or (alerts["split"] == "train").all()
        assert alerts.loc[alerts["split"] == "", "jd"].max() < judged["jd"].min() or not (alerts["split"] == "").any()
    rows = select(thinned, fraction=1.0, draw=0, n_max=2)
    for split in ("val", "test"):
        assert np.flatnonzero(thinned["split"] == split).tolist() == getattr(rows, split).tolist()
