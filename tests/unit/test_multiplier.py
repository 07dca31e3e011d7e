"""Data multipliers by hand, with ends beyond the fractions measured; coverage of their intervals by simulation."""

import numpy as np
import pytest
from alertgrid.comparison import group, t_quantile
from alertgrid.multiplier import crossing, data_multiplier, in_words

SIMULATED_LOGS = np.log([100.0, 300.0, 1000.0])


def known(value, noise=1e-9, seeds=2):
    """A group known to `noise` from 200 sources, whose seeds agree."""
    signs = np.random.default_rng(round(abs(100 * value))).permutation(np.tile([1.0, -1.0], 100))
    return group(np.full(seeds, value), [signs * noise / np.sqrt(200)] * seeds, np.ones(200, bool), 100)


def test_multiplier_interpolates_on_the_log_axis():
    # 0.9 is reached halfway in log n between 100 and 1000 sources: at 316; the reference has 1000.
    found = data_multiplier([100, 1000], [known(0.8), known(1.0)], 1000, known(0.9))
    assert (found.multiplier, found.status) == (pytest.approx(np.sqrt(10), rel=1e-6), "reached")
    assert (found.low, found.high) == pytest.approx((np.sqrt(10),) * 2, rel=1e-6)


def test_ends_are_where_the_difference_is_not_told_from_zero():
    # The reference alone is uncertain, by 0.01: the gap is as far from zero as t times that where the interval ends.
    noise = 0.01
    found = data_multiplier([100, 1000], [known(0.8), known(1.0)], 1000, known(0.9, noise))
    reach = t_quantile(0.975, 199) * noise * np.sqrt(200 / 199) / 0.2 * np.log(10)
    assert np.log(found.low) == pytest.approx(np.log(np.sqrt(10)) - reach, rel=1e-3)
    assert np.log(found.high) == pytest.approx(np.log(np.sqrt(10)) + reach, rel=1e-3)
    assert "Fieller" in found.method


def test_multiplier_surely_beyond_the_fractions_measured_keeps_the_end_that_is_known():
    never = data_multiplier([100, 500], [known(0.5), known(0.6)], 1000, known(0.9))
    assert never.status == "not reached"
    assert np.isnan(never.multiplier)
    assert (never.low, never.high) == (0, pytest.approx(2))
    early = data_multiplier([100, 1000], [known(0.95), known(0.96)], 1000, known(0.9))
    assert (early.status, early.multiplier) == ("at least", pytest.approx(10))
    assert (early.low, early.high) == (pytest.approx(10), np.inf)


def test_an_end_is_open_where_the_first_or_the_last_fraction_is_not_told_from_the_reference():
    curve = [known(0.8), known(1.0)]
    wide = data_multiplier([100, 1000], curve, 1000, known(0.9, 0.2))
    assert (wide.low, wide.high) == (0, np.inf)
    late = data_multiplier([100, 1000], curve, 1000, known(0.97, 0.03))
    assert late.low == 0
    assert 1 < late.high < 10
    alone = data_multiplier([1000], [known(0.9)], 1000, known(0.9, 0.1))
    assert (alone.status, alone.low, alone.high) == ("at least", 0, np.inf)


def test_seeds_widen_by_students_t():
    spread = group([0.89, 0.91], np.zeros((2, 200)), np.ones(200, bool), 100)
    found = data_multiplier([10, 1e5], [known(-0.1), known(1.9)], 1000, spread)
    # One degree of freedom: the gap may be 12.7 times the standard error of 0.01 away, at a slope of 0.5 per decade.
    assert np.log10(found.high / found.low) == pytest.approx(2 * 12.706 * 0.01 / 0.5, rel=1e-3)


def test_one_seed_gives_no_interval():
    curve = [known(0.8, 0.01), known(1.0, 0.01)]
    found = data_multiplier([100, 1000], curve, 1000, known(0.9, 0.01, seeds=1))
    assert np.isnan([found.low, found.high]).all()
    assert found.method == "none: one seed, spread over seeds not measured"
    assert found.multiplier == pytest.approx(np.sqrt(10))


def test_crossing_takes_the_first():
    x = np.array([1.0, 2.0, 3.0])
    found = [crossing(x, np.array(gap)) for gap in ([-1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, -1.0, -1.0])]
    assert found == [1.5, -np.inf, np.inf]


def test_open_ends_in_words():
    ends = ((0.8, 2.4), (0, 2.4), (0.8, np.inf), (0, np.inf), (np.nan, np.nan))
    said = [in_words("reached", 1.23, *pair) for pair in ends]
    assert said == [
        "1.2 (0.8 to 2.4)",
        "1.2 (up to 2.4)",
        "1.2 (0.8 or more)",
        "1.2 (not bounded)",
        "1.2 (no interval)",
    ]
    assert in_words("at least", 3.9, 0.8, np.inf) == "at least 3.9 (0.8 or more)"
    assert in_words("not reached", np.nan, 0, 0.9) == "not reached (up to 0.9)"


def drawn(rng, truth, seeds, shared):
    """A group of a mean over 60 sources: an effect of each source shared by all groups, and one of each seed."""
    own = rng.normal(0, 0.6, (seeds, len(shared)))
    values = truth + rng.normal(0, 0.15, seeds)[:, None] + shared + own
    influence = (values - values.mean(axis=1, keepdims=True)) / len(shared)
    return group(values.mean(axis=1), influence, np.ones(len(shared), bool), len(shared))


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_what_they_claim(seeds):
    truths, target, studies, inside = np.array([0.0, 0.6, 1.2]), 0.8, 1000, 0
    truth = 1000 / np.exp(crossing(SIMULATED_LOGS, truths - target))
    for number in range(studies):
        rng = np.random.default_rng([seeds, number])
        shared = rng.normal(0, 1.0, 60)
        curve = [drawn(rng, value, seeds, shared) for value in truths]
        found = data_multiplier(np.exp(SIMULATED_LOGS), curve, 1000, drawn(rng, target, seeds, shared))
        inside += found.low <= truth <= found.high
    assert 0.93 <= inside / studies <= 0.97
