"""Differences seed by seed: which seeds count, what varies between them, and what one seed cannot say."""

import numpy as np
import pytest
from alertgrid.comparison import blocks, contrast, group, interaction, sources_variance
from alertgrid.variance import cluster_variance
from scipy import stats

CLASSES = np.arange(40) < 20
RNG = np.random.default_rng(3)
LUCK = RNG.normal(0, 0.05, 4)  # of each seed, alike in all cells of a seed
NOISE = RNG.normal(0, 1e-4, (3, 4, 40))


def cell(level, seeds, number=0, luck=LUCK, **settings):
    """A cell whose seeds are `level` plus their luck."""
    rows = [NOISE[number, seed] for seed in seeds]
    values = [level + luck[seed] + rows[i][0] for i, seed in enumerate(seeds)]
    return group(values, rows, CLASSES, 20, seeds=seeds, **settings)


def test_a_difference_is_that_of_the_common_seeds():
    # Cells of 3 and 2 seeds: the mean of the first over all its seeds has the luck of the third.
    found = contrast([(1.0, cell(0.8, (0, 1, 2))), (-1.0, cell(0.8, (2, 1), 1))])
    assert found.estimate == pytest.approx(0, abs=1e-3)
    assert found.n_seeds == 2
    assert found.low < 0 < found.high
    assert "paired by seed" in found.method


def test_variance_is_that_of_the_differences_between_seeds():
    first, second = cell(0.8, (0, 1, 2)), cell(0.7, (0, 1, 2), 1)
    found = contrast([(1.0, first), (-1.0, second)])
    each = first.values - second.values
    rows = first.influences - second.influences
    own = sum(cluster_variance(row - rows.mean(axis=0), CLASSES)[0] for row in rows) / 2 / 3
    shared = cluster_variance(rows.mean(axis=0), CLASSES)[0]
    assert interaction([(1.0, first), (-1.0, second)]) == pytest.approx(own)
    assert found.se == pytest.approx(np.sqrt(max(shared - own, 0) + each.var(ddof=1) / 3))
    assert found.se < 0.01 * contrast([(1.0, first)]).se


def test_a_mean_over_pairs_is_one_contrast_per_seed():
    # What the pairs have in common does not average out.
    gain = np.array([0.01, -0.02, 0.04, 0.0])
    terms = []
    for number in (0, 1):
        terms += [(0.5, cell(0.8, (0, 1, 2), number, LUCK + gain)), (-0.5, cell(0.8, (0, 1, 2), 2 - number))]
    found = contrast(terms)
    assert found.estimate == pytest.approx(gain[:3].mean(), abs=1e-3)
    assert found.se == pytest.approx(stats.sem(gain[:3]), rel=0.02)
    assert found.df == pytest.approx(2, rel=0.05)


def test_cells_that_share_no_seed_are_independent_and_the_method_says_so():
    first, second = cell(0.8, (0, 1)), cell(0.7, (2, 3), 1)
    terms = [(1.0, first), (-1.0, second)]
    found = contrast(terms)
    assert len(blocks(terms)) == 2
    seeds = [member.values.var(ddof=1) / 2 for member in (first, second)]
    luck = [interaction([(1.0, member)]) for member in (first, second)]
    assert found.se == pytest.approx(np.sqrt(max(sources_variance(terms)[0] - sum(luck), 0) + sum(seeds)))
    assert found.df == pytest.approx(1, rel=0.01)
    assert "none of them common" in found.method


def test_seeds_shared_by_way_of_another_cell_need_one_that_all_have():
    chain = [(1.0, cell(0.8, (0, 1))), (-0.5, cell(0.7, (1, 2), 1)), (-0.5, cell(0.7, (2, 3), 2))]
    assert len(blocks(chain)) == 1
    found = contrast(chain)
    assert np.isnan([found.estimate, found.low]).all()
    assert "no seed in common" in found.method


@pytest.mark.parametrize("seeds", [((0,), (0,)), ((0, 1), (0,)), ((0, 1), (1, 2)), ((0,), (1,))])
def test_one_seed_has_no_p_and_says_why(seeds):
    found = contrast([(1.0, cell(0.9, seeds[0])), (-1.0, cell(0.5, seeds[1], 1))])
    assert found.low < found.estimate < found.high
    assert np.isnan([found.p, found.detectable]).all()
    assert found.one_seed
    assert found.n_seeds == 1
    assert "one seed: spread over seeds not measured" in found.method


def test_a_given_model_shares_no_seed():
    given = cell(0.7, (0,), 1, fixed=True)
    found = contrast([(1.0, cell(0.8, (0, 1, 2))), (-1.0, given)])
    assert found.n_seeds == 3
    assert np.isfinite(found.p)
    assert not found.one_seed
    assert np.isfinite(contrast([(1.0, given), (-1.0, cell(0.6, (0,), 2, fixed=True))]).p)


@pytest.mark.parametrize(("values", "ends"), [((1.0, 1.0), (-0.342, 0.342)), ((1.0, 0.0), (0.658, 1.0))])
def test_two_cells_without_any_variation_are_not_told_apart_for_certain(values, ends):
    # No source of 20 went otherwise: as many as 17 % may (Clopper & Pearson 1934), in either cell.
    one, other = (group([value] * 2, np.zeros((2, 40)), CLASSES, 20) for value in values)
    found = contrast([(1.0, one), (-1.0, other)])
    assert np.isnan([found.p, found.detectable]).all()
    assert (found.low, found.high) == pytest.approx(ends, abs=0.02)
    assert "no variation seen" in found.method
