"""Reliability curves by hand; what the calibration error of a calibrated classifier is, by simulation."""

import numpy as np
import pytest
from alertgrid import calibration, metrics
from alertgrid.comparison import contrast, group


def test_reliability_sums_and_bins():
    curve = calibration.reliability(np.array([0, 1, 1]), np.array([0.05, 0.95, 1.0]), bins=10)
    assert list(curve.count) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert curve.score[-1] == pytest.approx(1.95)
    assert curve.positive[-1] == 2
    assert calibration.expected_calibration_error(curve) == pytest.approx((0.05 + 0.05) / 3)


def drawn_error(score, source, draws=800):
    """Mean calibration error of labels that have the scores as probabilities, one draw a source."""
    rng = np.random.default_rng(1)
    labels = (rng.random(source.max() + 1)[source] < score for _ in range(draws))
    return np.mean([calibration.expected_calibration_error(calibration.reliability(label, score)) for label in labels])


@pytest.mark.parametrize(("sources", "per_source"), [(198, 1), (60, 8), (1000, 5)])
def test_error_by_chance_is_that_of_drawn_labels(sources, per_source):
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(sources), per_source)
    score = np.clip(rng.beta(0.7, 0.7, sources)[source] + rng.normal(0, 0.03, len(source)), 0, 1)
    found = calibration.Chance.of(score, source, 15).error()
    assert found == pytest.approx(drawn_error(score, source), rel=0.08)


def test_error_by_chance_counts_the_alerts_asked_for():
    score, source = np.array([0.5, 0.5, 0.1]), np.array([0, 0, 1])
    chance = calibration.Chance.of(score, source, 15)
    assert chance.error(np.array([0, 1])) == pytest.approx(np.sqrt(2 / np.pi) / 2)  # one source: no averaging
    assert chance.error(np.array([2])) == pytest.approx(np.sqrt(2 / np.pi * 0.09))
    assert np.isnan(chance.error(np.zeros(0, int)))


def test_calibration_error_gets_no_interval_around_what_is_mostly_chance():
    rng = np.random.default_rng(2)
    score = rng.random(198)
    label = rng.random(198) < score
    values, influence = metrics.influences(label, score, np.arange(198), 198, 0.5)
    assert values["ece"] == pytest.approx(values["ece_calibrated"], rel=0.3)
    assert not {"ece", "ece_calibrated"} & set(influence)
    found = contrast([(1.0, group([values["ece"]], [np.full(198, np.nan)], label, 198))], scale="logit")
    assert found.estimate == values["ece"]
    assert np.isnan([found.low, found.high, found.p]).all()
    assert "biased by chance" in found.method
