"""The checks of real results fail for what cannot be true and practically never for what is."""

from collections import namedtuple

import numpy as np
import pytest
from alertgrid.comparison import contrast, group
from alertgrid.metrics import influences
from loading import load_script

Row = namedtuple("Row", "estimate low high se df n_seeds")


@pytest.fixture(scope="module")
def chance():
    return load_script("tests/results/test_results.py").chance


def judged(rng, skill, sources=120, seeds=1):
    """A row of the performance table: networks of some skill on sources with three alerts each."""
    classes = rng.random(sources) < 0.4
    source = np.repeat(np.arange(sources), 3)
    found = []
    for _ in range(seeds):
        latent = skill * classes[source] + rng.normal(0, 1, sources)[source] + rng.normal(0, 1, len(source))
        found.append(influences(classes[source], 1 / (1 + np.exp(-latent)), source, sources, 0.5))
    values, rows = zip(*((value["roc_auc"], row["roc_auc"]) for value, row in found), strict=True)
    ends = contrast([(1.0, group(values, rows, classes, int(classes.sum())))], scale="logit")
    return Row(ends.estimate, ends.low, ends.high, ends.se, ends.df, seeds)


@pytest.mark.parametrize("seeds", [1, 2, 8])
def test_an_honest_control_practically_never_fails(chance, seeds):
    rng = np.random.default_rng(0)
    rows = [judged(rng, 0.0, seeds=seeds) for _ in range(250)]
    assert all(chance(row, 1) for row in rows)
    assert sum(not row.low <= 0.5 <= row.high for row in rows) > 5  # which the interval of 95 % does for one in twenty


def test_a_control_that_has_seen_the_labels_fails(chance):
    rng = np.random.default_rng(1)
    assert not any(chance(judged(rng, 2.0, seeds=8), 1) for _ in range(20))
    assert not chance(Row(1.0, 0.9, 1.0, 0.0, np.inf, 8), 1)
    assert chance(Row(1.0, 0.3, 1.0, 0.0, np.inf, 8), 1)  # two sources of a class: anything may be true
    assert chance(Row(*[np.nan] * 5, 0), 1)
