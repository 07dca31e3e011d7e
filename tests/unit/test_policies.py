"""Policies against a plain loop over objects, and by hand."""

import numpy as np
import pandas as pd
import pytest
from alertgrid.errors import StudyError
from alertgrid.policies import (
    BTSBOT_POLICIES,
    Policy,
    apply_policy,
    delays,
    figures,
    magnitude_bins,
    save_positions,
    timeline,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def plain(catalogue, score, policy):
    """The obvious loop: for every object, try the policy on its first alert, its first two alerts, ..."""
    result = {}
    for name, rows in catalogue.assign(score=score).groupby("objectId"):
        rows = rows.sort_values(["jd", "candid"])
        saved = np.nan
        for count in range(1, len(rows) + 1):
            so_far = rows.iloc[:count]
            hits = (so_far["score"] > policy.score) & (so_far["magpsf"] < policy.magnitude)
            if hits.sum() >= policy.alerts and so_far["magpsf"].min() <= policy.brightest:
                saved = so_far["jd"].iloc[-1]
                break
        label = rows["label"].max() == 1
        counts = len(rows) >= 2 and (not label or rows["magpsf"].min() <= 18.5)
        result[name] = {
            "counts": counts,
            "label": label,
            "saved": saved,
            "first": rows["jd"].min(),
            "peak": rows["magpsf"].min(),
            "jd_peak": rows.loc[rows["magpsf"] == rows["magpsf"].min(), "jd"].min(),
        }
    return pd.DataFrame(result).T


def random_catalogue(seed, objects=12):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6 * objects))
    source = rng.integers(0, objects, n)
    label = rng.integers(0, 2, objects)
    return pd.DataFrame(
        {
            "candid": rng.permutation(n),
            "objectId": np.char.add("Z", source.astype(str)),
            "jd": 2459000.0 + rng.integers(0, 8, n),
            "magpsf": np.round(rng.uniform(17.4, 19.8, n), 1),
            "label": label[source],
        }
    ), np.round(rng.random(n), 1)


RANDOM = Policy("own", alerts=3, score=0.3, magnitude=19.5, brightest=18.0)


@given(st.integers(0, 10**6), st.sampled_from((*BTSBOT_POLICIES, RANDOM)))
@settings(max_examples=150, deadline=None)
def test_equals_the_plain_loop(seed, policy):
    catalogue, score = random_catalogue(seed)
    alerts = timeline(catalogue)
    found = apply_policy(alerts, score, policy)
    expected = plain(catalogue, score, policy).loc[alerts.names]
    counts, label = expected["counts"].to_numpy(bool), expected["label"].to_numpy(bool)
    saved = expected["saved"].notna().to_numpy()
    kinds = np.stack([label & saved, ~label & saved, label & ~saved, ~label & ~saved], axis=1) & counts[:, None]
    np.testing.assert_array_equal(found.counts, kinds)
    when = expected["saved"].to_numpy(float)
    good = label & saved & counts
    np.testing.assert_allclose(found.delay[good], (when - expected["first"].to_numpy(float))[good])
    np.testing.assert_allclose(found.delay_from_peak[good], (when - expected["jd_peak"].to_numpy(float))[good])
    assert np.isnan(found.delay[~good]).all()
    np.testing.assert_allclose(alerts.peak, expected["peak"].to_numpy(float))


def by_hand():
    """Two transients, one variable; the first transient is bright from its second alert on."""
    rows = [
        ("A", 1, 18.9, 1, 0.9), ("A", 2, 18.4, 1, 0.4), ("A", 4, 18.0, 1, 0.6),
        ("B", 1, 18.6, 1, 0.9), ("B", 3, 18.2, 1, 0.2),
        ("C", 1, 18.5, 0, 0.7), ("C", 2, 18.3, 0, 0.8),
        ("D", 1, 17.0, 0, 0.9),
        ("E", 1, 18.9, 1, 0.9), ("E", 2, 18.8, 1, 0.9),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["objectId", "jd", "magpsf", "label", "score"])
    return table.assign(candid=range(len(table)))


def test_hand_worked_completeness_purity_and_delays():
    table = by_hand()
    alerts = timeline(table)
    assert list(alerts.eligible) == [True, True, True, False, False]  # D has one alert, E is never bright
    outcome = apply_policy(alerts, table["score"].to_numpy(), BTSBOT_POLICIES[0])
    assert outcome.delay[0] == 3  # saved at the second alert above 0.5, on day 4
    assert outcome.delay_from_peak[0] == 0
    everything = figures(outcome, [np.arange(5)])
    values = {name: parts[0][0] for name, parts in everything.items()}
    assert values["completeness"] == 0.5
    assert values["purity"] == 0.5
    assert values["f1"] == 0.5
    assert [everything[name][0][2] for name in ("completeness", "purity", "f1")] == [2, 2, 3]
    waited = delays(outcome, [np.arange(5), np.arange(1, 5)])
    assert {name: [list(part) for part in parts] for name, parts in waited.items()} == {
        "delay_days": [[3.0], []],
        "delay_from_peak_days": [[0.0], []],
    }
    production = apply_policy(alerts, table["score"].to_numpy(), BTSBOT_POLICIES[3])
    assert production.delay[0] == 1  # scored 0.9 on day 1, but bright enough on day 2 only
    assert production.counts[1, 0] == 1


def test_bins_hold_sources_by_their_brightest_alert():
    alerts = timeline(by_hand())
    bins = dict(magnitude_bins(alerts, (17.0, 18.0, 18.25, 18.5)))
    assert list(bins) == ["mag=17.00-18.00", "mag=18.00-18.25", "mag=18.25-18.50"]
    assert [list(members) for members in bins.values()] == [[3], [0, 1], [2]]


def test_figures_without_any_source_are_nan():
    outcome = apply_policy(timeline(by_hand()), np.zeros(10), BTSBOT_POLICIES[0])
    nothing = figures(outcome, [np.arange(5), np.arange(0)])
    assert nothing["completeness"][0][0] == 0
    assert nothing["purity"][0][0] == 0  # there are true sources: a seed that saves none is no seed to leave out
    assert not nothing["purity"][0][1].any()
    assert np.isnan(nothing["purity"][1][0])
    assert np.isnan(nothing["completeness"][1][0])


def test_order_of_rows_does_not_matter():
    catalogue, score = random_catalogue(4)
    order = np.random.default_rng(0).permutation(len(catalogue))
    shuffled = catalogue.iloc[order].reset_index(drop=True)
    first = save_positions(timeline(catalogue), score, RANDOM)
    np.testing.assert_array_equal(first, save_positions(timeline(shuffled), score[order], RANDOM))


def test_empty_catalogue_and_impossible_policy():
    empty, score = by_hand().iloc[:0], np.zeros(0)
    assert apply_policy(timeline(empty), score, RANDOM).counts.shape == (0, 4)
    with pytest.raises(StudyError, match=r"report\.policies\.none"):
        Policy("none", alerts=0)
