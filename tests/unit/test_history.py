"""The history columns against a plain loop over alerts, and against the published tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alertgrid.history import DERIVED, derive_history
from hypothesis import given, settings
from hypothesis import strategies as st

detection = st.tuples(
    st.sampled_from(["ZTF18aaaaaaa", "ZTF19bbbbbbb", "ZTF20ccccccc"]),
    st.integers(0, 20),
    st.integers(150, 200),
)


def frame_of(detections: list[tuple[str, int, int]]) -> pd.DataFrame:
    table = pd.DataFrame(detections, columns=["objectId", "jd", "magpsf"]).astype({"jd": float, "magpsf": float})
    table["jd"], table["magpsf"] = table["jd"] / 4 + 2_459_000, table["magpsf"] / 10
    return table


def plain_loop(catalogue: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """The definitions word for word; equal times count in the order earlier detections, then alerts as given."""
    rows = []
    for row, alert in enumerate(catalogue.itertuples()):
        seen = [(e.jd, 0, e.magpsf) for e in earlier.itertuples() if e.objectId == alert.objectId and e.jd <= alert.jd]
        for other_row, other in enumerate(catalogue.itertuples()):
            ahead = other.jd < alert.jd or (other.jd == alert.jd and other_row <= row)
            if other.objectId == alert.objectId and ahead:
                seen.append((other.jd, 1 + other_row, other.magpsf))
        seen.sort()
        peak = min(magnitude for _, _, magnitude in seen)
        peak_jd = next(jd for jd, _, magnitude in seen if magnitude == peak)
        first = min(alert.jdstarthist, seen[0][0])
        faintest = max(magnitude for _, _, magnitude in seen)
        nnotdet = alert.ncovhist - alert.ndethist
        rows.append([alert.jd - first, alert.jd - peak_jd, peak_jd - first, peak, faintest, nnotdet])
    return pd.DataFrame(rows, columns=list(DERIVED), index=catalogue.index, dtype=float)


@settings(max_examples=60, deadline=None)
@given(st.lists(detection, min_size=1, max_size=25), st.lists(detection, max_size=25), st.integers(0, 1000))
def test_agrees_with_a_plain_loop(alerts, others, seed):
    rng = np.random.default_rng(seed)
    catalogue, earlier = frame_of(alerts), frame_of(others)
    catalogue["jdstarthist"] = catalogue["jd"] - rng.uniform(-1, 3, len(catalogue))
    catalogue["ndethist"] = rng.integers(1, 50, len(catalogue))
    catalogue["ncovhist"] = rng.integers(50, 500, len(catalogue))
    catalogue.index = rng.permutation(len(catalogue)) + 100
    pd.testing.assert_frame_equal(derive_history(catalogue, earlier), plain_loop(catalogue, earlier))


def test_without_earlier_detections_and_without_jdstarthist():
    catalogue = frame_of([("ZTF18aaaaaaa", 8, 180), ("ZTF18aaaaaaa", 0, 190)])
    catalogue = catalogue.assign(jdstarthist=np.nan, ndethist=1, ncovhist=3)
    derived = derive_history(catalogue)
    assert derived["age"].tolist() == [2.0, 0.0]
    assert derived["maxmag_so_far"].tolist() == [19.0, 19.0]
    assert derived["nnotdet"].tolist() == [2.0, 2.0]


def test_an_empty_catalogue_gives_an_empty_table():
    empty = frame_of([]).assign(jdstarthist=0.0, ndethist=0, ncovhist=0)
    assert derive_history(empty).shape == (0, len(DERIVED))


def test_an_object_never_sees_another_ones_detections():
    catalogue = frame_of([("ZTF18aaaaaaa", 8, 180), ("ZTF19bbbbbbb", 4, 150)])
    catalogue = catalogue.assign(jdstarthist=catalogue["jd"], ndethist=1, ncovhist=1)
    assert derive_history(catalogue)["peakmag_so_far"].tolist() == [18.0, 15.0]


@pytest.mark.real
def test_published_history_columns_follow_from_the_known_detections(real_data):
    folder = real_data / "ztf"
    table = pd.concat([pd.read_csv(folder / f"{split}_cand.csv") for split in ("train", "val", "test")])
    derived = derive_history(table, pd.read_csv(folder / "history.csv"))
    assert len(table) == 1000
    for name in DERIVED:
        np.testing.assert_allclose(derived[name], table[name], rtol=0, atol=1e-8, err_msg=name)
