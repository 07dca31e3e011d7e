"""Medians: order statistics by hand, what seeds add, and coverage by simulation where many values are equal."""

import numpy as np
import pytest
from alertgrid.comparison import t_quantile
from alertgrid.medians import coverage, mean_of_medians, median_interval
from loading import load_script
from scipy import stats


@pytest.mark.parametrize("count", [1, 3, 5, 6, 9, 20])
def test_interval_of_a_median_covers_what_it_says(count):
    draws = np.random.default_rng(count).normal(size=(20000, count))
    ends = np.array([median_interval(draw)[1:] for draw in draws[:4000]])
    held = ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean()
    assert abs(held - coverage(count)) < 4 * np.sqrt(0.25 / 4000)
    assert coverage(count) >= 0.95 or count < 6


def test_interval_of_twenty_leaves_out_five_at_each_end():
    assert median_interval(np.arange(20.0)) == (9.5, 5.0, 14.0)
    assert coverage(20) == pytest.approx(1 - 2 * stats.binom.cdf(5, 20, 0.5))
    assert np.isnan(median_interval(np.array([]))).all()


def test_seeds_move_both_ends_outwards_in_squares():
    first, second = np.arange(20.0), np.arange(20.0) + 2  # each from 5 to 14 about its median of 9.5
    found = mean_of_medians([first, second])
    spread = t_quantile(0.975, 1) * np.sqrt(2) / np.sqrt(2)
    assert found.estimate == 10.5
    assert (found.low, found.high) == pytest.approx((10.5 - np.hypot(4.5, spread), 10.5 + np.hypot(4.5, spread)))
    assert (found.n_seeds, found.support) == (2, 20)
    given = mean_of_medians([first], fixed=True)
    assert (given.low, given.high) == (5, 14)
    assert "no seeds" in given.method
    assert "one seed: spread over seeds not measured" in mean_of_medians([first]).method


def test_each_end_has_its_own_distance():
    found = mean_of_medians([np.r_[np.zeros(11), np.arange(1.0, 10)]] * 2)
    assert (found.estimate, found.low) == (0, 0)
    assert found.high == 4


def test_few_saved_sources_have_no_interval():
    few = mean_of_medians([np.full(9, 5.2), np.full(5, 5.2)])
    assert (few.estimate, few.support) == (5.2, 5)
    assert np.isnan([few.low, few.high]).all()
    assert few.method == "none: a seed with fewer than 6 saved sources"
    assert np.isfinite(mean_of_medians([np.arange(6.0)]).low)
    assert np.isnan(mean_of_medians([np.arange(6.0)], level=0.99).low)
    nothing = mean_of_medians([np.zeros(0), np.zeros(0)])
    assert np.isnan(nothing.estimate)
    assert (nothing.n_seeds, nothing.support, nothing.method) == (0, 0, "not defined: no saved source")
    assert mean_of_medians([np.zeros(0), np.arange(9.0)]).n_seeds == 1


@pytest.mark.parametrize(("sources", "at_zero"), [(10, 0.46), (40, 0.46), (200, 0.48)])
def test_intervals_cover_where_many_are_saved_on_the_first_day(sources, at_zero):
    simulation = load_script("benchmarks/delays.py")
    assert simulation.coverage(simulation.Delays(sources, at_zero=at_zero), 800, seed=5) >= 0.93
