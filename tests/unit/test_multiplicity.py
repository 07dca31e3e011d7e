"""Holm's correction by hand, and the differences that it lets a table find, by simulation."""

import numpy as np
import pandas as pd
import pytest
from alertgrid.comparison import detectable
from alertgrid.multiplicity import corrected, holm
from scipy import stats


def test_holm_by_hand():
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.5 x 1, never falling.
    found = holm([0.03, 0.01, np.nan, 0.5, 0.02])
    np.testing.assert_allclose(found, [0.06, 0.04, np.nan, 0.5, 0.06])
    assert list(holm([0.9, 0.8])) == [1.0, 1.0]
    assert len(holm([])) == 0


def test_each_metric_is_a_family_of_its_own():
    rows = {"metric": ["a", "a", "a", "b", "a"], "p": [0.02, 0.01, 0.5, 0.02, np.nan], "se": 0.1, "df": 12.0}
    found = corrected(pd.DataFrame(rows), 0.95, 0.8)
    np.testing.assert_allclose(found["p_holm"], [0.04, 0.03, 0.5, 0.02, np.nan])
    reach = 0.1 * (stats.t.ppf([1 - 0.025 / 3, 1 - 0.025], 12) + stats.t.ppf(0.8, 12))
    np.testing.assert_allclose(found["detectable_holm"], [*reach[[0, 0, 0, 1]], np.nan])
    assert found.loc[3, "detectable_holm"] == pytest.approx(detectable(0.1, 12.0, 0.95, 0.8))


def test_a_detectable_difference_is_found_with_the_power_stated():
    # The others show nothing, so that only the strictest step can tell the one that is there.
    rng, rows, power = np.random.default_rng(0), 20, 0.8
    table = pd.DataFrame({"metric": "a", "p": np.full(rows, 0.5), "se": 1.0, "df": np.inf})
    reach = corrected(table, 0.95, power)["detectable_holm"].iloc[0]
    estimates = rng.normal(0, 1, (4000, rows))
    estimates[:, 0] += reach
    p = 2 * stats.norm.sf(np.abs(estimates))
    assert np.mean([holm(row)[0] < 0.05 for row in p]) == pytest.approx(power, abs=0.02)
    alone = detectable(1.0, np.inf, 0.95, power)
    assert np.mean(p[:, 0] < 0.05) > 0.95 > power
    assert alone < 0.8 * reach
