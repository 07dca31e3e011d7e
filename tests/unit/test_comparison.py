"""Intervals and differences by hand; coverage by simulation."""

import numpy as np
import pytest
from alertgrid import comparison
from alertgrid.comparison import cluster_variance, contrast, group, interaction, total_variance
from alertgrid.scales import boundary, scale_of
from loading import load_script
from scipy import stats

CLASSES = np.array([True] * 3 + [False] * 4)
INFLUENCE = np.array([0.03, -0.01, -0.02, 0.01, -0.01, 0.02, -0.02])


def proportion(hits, n):
    """A proportion of n sources as a group with one fixed model."""
    value = hits / n
    influence = (np.arange(n) < hits) / n - value / n
    return group([value], [influence], np.ones(n, bool), n, fixed=True)


def test_one_group_of_proportions_has_the_textbook_variance():
    variance, df = cluster_variance(proportion(30, 50).influence, np.ones(50, bool))
    assert variance == pytest.approx(0.6 * 0.4 / 49)
    assert df == pytest.approx(49)


def test_two_classes_are_joined_as_by_welch():
    variance, df = cluster_variance(INFLUENCE, CLASSES)
    first, second = 14e-4 * 3 / 2, 10e-4 * 4 / 3
    # 2 x 14^2 / (81 + 1 + 16) = 4 and 2 x 10^2 / (1 + 1 + 16 + 16) = 5.9 of the fourth moments, but n - 1 at most.
    assert variance == pytest.approx(first + second)
    assert df == pytest.approx((first + second) ** 2 / (first**2 / 2 + second**2 / 3))


def false_positives(number, true=200, n=1000):
    """Influences on the precision of `true` true and some false positives among n sources without the label."""
    x = np.zeros(true + n)
    x[:true], x[true : true + number] = number / (true + number) ** 2, -true / (true + number) ** 2
    return x, np.arange(true + n) < true


@pytest.mark.parametrize("number", [1, 2, 5])
def test_few_false_positives_give_the_variance_of_precision_that_the_binomial_law_has(number):
    variance, df = cluster_variance(*false_positives(number))
    precision = 200 / (200 + number)
    assert variance == pytest.approx(precision * (1 - precision) / (200 + number), rel=0.01)
    # The variance of a Poisson number has twice as many degrees of freedom as the number; the true positives add some.
    assert df == pytest.approx(2 * number, rel=0.06)


def test_rounding_in_one_source_is_no_spread_and_hides_no_other():
    x = np.zeros(7)
    x[0] = 1e-18
    same = [group([0.9, 0.8], [INFLUENCE, INFLUENCE + residue], CLASSES, 3) for residue in (0.0, x)]
    found = contrast([(1.0, same[0]), (-1.0, same[1])])
    assert (found.estimate, found.se) == (0, 0)
    assert np.isnan([found.p, found.detectable]).all()
    assert np.isfinite(contrast([(1.0, same[1])]).low)


def test_one_source_of_a_class_says_nothing_about_the_spread_between_sources():
    lone = np.array([True] + [False] * 6)
    assert np.isnan(cluster_variance(INFLUENCE, lone)[0])
    # AUC: the influences of a class sum to zero, which one source's is then.
    negatives = np.array([0.0, 0.02, -0.02, 0.01, -0.01, 0.03, -0.03])
    assert np.isnan(contrast([(1.0, group([0.9], [negatives], lone, 1, fixed=True))], scale="logit").low)


def test_sources_that_were_not_judged_count_nowhere():
    more = np.append(INFLUENCE, [0.0, 0.0])
    judged = cluster_variance(more, np.append(CLASSES.astype(int), [-1, -1]))
    assert judged == pytest.approx(cluster_variance(INFLUENCE, CLASSES))


def test_interval_of_a_proportion_on_the_logit_scale():
    found = contrast([(1.0, proportion(45, 50))], scale="logit")
    se = np.sqrt(0.9 * 0.1 / 49) / 0.09
    df = 2 * (45 * 0.1**2 + 5 * 0.9**2) ** 2 / (45 * 0.1**4 + 5 * 0.9**4)  # 12, since five sources carry it
    quantile = stats.t.ppf(0.975, df)
    ends = 1 / (1 + np.exp(-(np.log(9) + np.array([-1, 1]) * quantile * se)))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert "given model" in found.method
    assert found.df == pytest.approx(df)


def test_everything_right_has_the_exact_bound():
    found = contrast([(1.0, proportion(20, 20))], scale="logit")
    assert found.high == 1
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 20, 1))  # Clopper and Pearson
    assert "bound for the number of sources" in found.method
    assert boundary(1.0, 0, 0.95) == pytest.approx((np.nan, np.nan), nan_ok=True)
    assert boundary(-1.0, 10, 0.95, lowest=-1.0)[0] == -1.0


def test_seeds_add_their_variance_without_the_part_seen_twice():
    values = [0.90, 0.93, 0.96]
    rows = [INFLUENCE + shift for shift in (0.0, 0.001, -0.001)]
    member = group(values, rows, CLASSES, 3)
    shared, _ = cluster_variance(INFLUENCE, CLASSES)
    own = sum(cluster_variance(np.full(7, shift), CLASSES)[0] for shift in (0.001, -0.001)) / 2
    assert interaction([(1.0, member)]) == pytest.approx(own / 3)
    variance, df = total_variance([(1.0, member)])
    assert variance == pytest.approx(shared + (0.03**2 - own) / 3)
    sources_df = cluster_variance(INFLUENCE, CLASSES)[1]
    seeds = 0.03**2 / 3
    assert df == pytest.approx(variance / ((shared - own / 3) / sources_df + seeds / 2))
    assert "between seeds" in contrast([(1.0, member)]).method


def test_degrees_of_freedom_are_weighted_by_shares():
    assert comparison.combined_df((1.0, 8.0), (1.0, 2.0)) == pytest.approx(3.2)
    assert comparison.combined_df((1.0, np.inf), (0.0, 2.0)) == np.inf
    assert comparison.combined_df((0.0, 5.0), (1.0, 2.0)) == pytest.approx(2)


@pytest.mark.parametrize(("seeds", "lowest"), [(2, 0.90), (3, 0.94), (5, 0.945)])
def test_expected_coverage_at_any_ratio_of_the_variances(seeds, lowest):
    simulation = load_script("benchmarks/coverage.py")
    shares = [simulation.expected_coverage(ratio, seeds, simulation.by_shares) for ratio in simulation.RATIOS]
    assert min(shares) > lowest
    assert max(shares) < 0.965
    # Either part alone has its exact interval.
    assert shares[-1] == pytest.approx(0.95, abs=0.005)
    assert simulation.expected_coverage(1e-6, seeds, simulation.by_shares) == pytest.approx(0.95, abs=0.002)


def test_equal_seeds_leave_the_sources_alone():
    member = group([0.9, 0.9], [INFLUENCE] * 2, CLASSES, 3)
    assert total_variance([(1.0, member)]) == pytest.approx(cluster_variance(INFLUENCE, CLASSES))


def test_one_seed_says_that_the_spread_is_unknown():
    assert "not measured" in contrast([(1.0, group([0.9], [INFLUENCE], CLASSES, 3))]).method


def test_differences_are_paired():
    first, second = (group([value], [INFLUENCE], CLASSES, 3, fixed=True) for value in (0.9, 0.8))
    found = contrast([(1.0, first), (-1.0, second)])
    assert found.estimate == pytest.approx(0.1)
    assert found.se == 0
    half = group([0.8], [INFLUENCE / 2], CLASSES, 3, fixed=True)
    found = contrast([(1.0, first), (-1.0, half)])
    variance, df = cluster_variance(INFLUENCE / 2, CLASSES)
    assert found.se == pytest.approx(np.sqrt(variance))
    assert found.p == pytest.approx(2 * stats.t.sf(0.1 / np.sqrt(variance), df))
    quantiles = stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)
    assert found.detectable == pytest.approx(quantiles * np.sqrt(variance))


def test_undefined_figures_are_nan_and_counted():
    none = group([np.nan], [INFLUENCE], CLASSES, 3)
    found = contrast([(1.0, none)])
    assert np.isnan(found.estimate)
    assert found.n_seeds == 0
    assert "not defined" in found.method
    some = group([np.nan, 0.5, 0.7], [INFLUENCE] * 3, CLASSES, 3)
    assert (some.estimate, len(some.values)) == (pytest.approx(0.6), 2)


def test_seeds_that_differ_at_the_end_of_the_scale_stay_within_it():
    member = group([1.0, 1.0], [INFLUENCE] * 2, CLASSES, 3)
    found = contrast([(1.0, member)], scale="logit")
    assert found.high == 1
    assert 0 <= found.low < 1


def test_scales():
    assert [scale_of(name) for name in ("mcc", "f1")] == ["atanh", "logit"]
    found = contrast([(1.0, group([0.5], [INFLUENCE], CLASSES, 3, True))], scale="atanh")
    half = found.se * comparison.t_quantile(0.975, found.df) / 0.75
    assert found.high == pytest.approx(np.tanh(np.arctanh(0.5) + half))


def test_quantiles_equal_those_of_scipy():
    assert comparison.t_quantile(0.9, 3.3) == pytest.approx(stats.t.ppf(0.9, 3.3))
    assert comparison.t_tail(1.7, 5.0) == pytest.approx(stats.t.sf(1.7, 5.0))
    assert comparison.t_quantile(0.9, np.inf) == pytest.approx(stats.norm.ppf(0.9))
    assert comparison.t_tail(1.7, np.inf) == pytest.approx(stats.norm.sf(1.7))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "300 objects, 3 seeds",
        "300 objects, large spread of seeds, 3 seeds",
        "300 objects, 3 seeds alike",
        "300 objects, 5 seeds alike",
        "300 objects, spreads 0.5 and 0.05, 3 seeds",
        "300 objects, 4 and 3 seeds alike, 3 in common",
        "300 objects, mean of 2 pairs alike, 3 seeds",
    ],
)
def test_intervals_cover_what_they_claim(name):
    simulation = load_script("benchmarks/coverage.py")
    found = simulation.coverage(simulation.SKIES[name], 1500, seed=11)
    for share in found["roc_auc"]:
        assert 0.93 <= share <= 0.97, name


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "f1"])
def test_simulated_truth_is_what_many_objects_show(metric):
    simulation = load_script("benchmarks/coverage.py")
    sky = simulation.Sky(sources=4000, seeds=8)
    terms = simulation.study(sky, np.random.default_rng(0), [metric])[metric]
    assert terms[-1][1].estimate == pytest.approx(simulation.true_value(sky, metric), abs=0.02)
    assert contrast(terms).estimate == pytest.approx(simulation.true_difference(sky, metric), abs=0.02)
