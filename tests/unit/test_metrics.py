"""Metrics against hand-worked values, scikit-learn, and a plain bootstrap of sources."""

import numpy as np
import pytest
from alertgrid import metrics
from alertgrid.errors import StudyError
from alertgrid.ranking import Ranking, average_precision, roc_auc
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk


def alerts(seed=0, sources=40, ties=False):
    """Labels by source, scores with an effect of the source, source numbers."""
    rng = np.random.default_rng(seed)
    truth = rng.random(sources) < 0.4
    truth[:2] = True, False
    source = rng.integers(0, sources, 8 * sources)
    source[:2] = 0, 1
    latent = 1.5 * truth[source] + rng.normal(0, 0.8, sources)[source] + rng.normal(0, 1, len(source))
    score = 1 / (1 + np.exp(-latent + 0.7))
    return truth[source], np.round(score, 1) if ties else score, source


def reference(label, score, weight=None):
    """The same figures by scikit-learn."""
    predicted = score > 0.5
    options = {"sample_weight": weight}
    return {
        "roc_auc": sk.roc_auc_score(label, score, **options),
        "average_precision": sk.average_precision_score(label, score, **options),
        "accuracy": sk.accuracy_score(label, predicted, **options),
        "balanced_accuracy": sk.balanced_accuracy_score(label, predicted, **options),
        "accuracy_1": sk.recall_score(label, predicted, **options),
        "accuracy_0": sk.recall_score(label, predicted, pos_label=0, **options),
        "precision": sk.precision_score(label, predicted, zero_division=0, **options),
        "recall": sk.recall_score(label, predicted, **options),
        "f1": sk.f1_score(label, predicted, **options),
        "mcc": sk.matthews_corrcoef(label, predicted, **options),
        "brier": sk.brier_score_loss(label, score, **options),
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_values_equal_those_of_scikit_learn(seed, ties):
    label, score, source = alerts(seed, ties=ties)
    values, _ = metrics.influences(label, score, source, 40, 0.5)
    for name, expected in reference(label, score).items():
        assert values[name] == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("ties", [False, True])
def test_influence_is_the_derivative_with_respect_to_a_sources_weight(ties):
    label, score, source = alerts(3, ties=ties)
    _, influence = metrics.influences(label, score, source, 40, 0.5)
    step = 1e-6
    for number in (0, 1, 17):
        up, down = (reference(label, score, 1.0 + sign * step * (source == number)) for sign in (1, -1))
        for name, value in up.items():
            assert influence[name][number] == pytest.approx((value - down[name]) / (2 * step), abs=1e-7), name


def test_influences_sum_to_zero():
    label, score, source = alerts(1)
    _, influence = metrics.influences(label, score, source, 40, 0.5)
    assert set(influence) == set(metrics.COMPARABLE)
    for name, values in influence.items():
        assert values.sum() == pytest.approx(0, abs=1e-10), name


def test_variance_agrees_with_a_plain_bootstrap_of_sources():
    label, score, source = alerts(5, sources=150)
    _, influence = metrics.influences(label, score, source, 150, 0.5)
    rng = np.random.default_rng(0)
    draws = [np.bincount(rng.integers(0, 150, 150), minlength=150)[source] for _ in range(600)]
    for name, function in (("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)):
        plain = np.std([function(label, score, sample_weight=draw) for draw in draws])
        assert np.sqrt((influence[name] ** 2).sum()) == pytest.approx(plain, rel=0.12), name


def test_hand_worked_values():
    # Scores fall as + - + -: of 4 pairs 3 are in order; precision at the positives is 1 and 2/3.
    ranking = Ranking.of(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.4, 0.1]))
    assert roc_auc(ranking) == (0.75, None)
    assert average_precision(ranking)[0] == pytest.approx((1 + 2 / 3) / 2)
    assert roc_auc(Ranking.of(np.array([1, 0]), np.array([0.5, 0.5])))[0] == 0.5
    values, _ = metrics.influences(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.4, 0.1]), np.arange(4), 4, 0.5)
    assert [values[name] for name in ("accuracy", "precision", "recall", "f1", "mcc")] == [0.5, 0.5, 0.5, 0.5, 0.0]
    assert values["brier"] == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert values["ece"] == pytest.approx((0.1 + 0.8 + 0.6 + 0.1) / 4)


ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40)


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_every_metric_is_scikit_learns_wherever_both_classes_are_there(rows):
    label, score = (np.array(column) for column in zip(*rows, strict=True))
    assume(0 < label.sum() < len(label))
    values, influence = metrics.influences(label, score / 5, np.arange(len(label)), len(label), 0.5)
    expected = reference(label, score / 5)
    assert set(expected) == set(metrics.COMPARABLE)
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(influence) == set(expected)
    assert all(np.isfinite(row).all() for row in influence.values())


@given(ROWS)
@settings(max_examples=80, deadline=None)
def test_auc_with_many_ties_equals_the_count_of_pairs(rows):
    label, score = (np.array(column) for column in zip(*rows, strict=True))
    pairs = [np.sign(a - b) for a in score[label] for b in score[~label]]
    value = roc_auc(Ranking.of(label, score / 5))[0]
    assert np.isnan(value) if not pairs else value == pytest.approx((np.mean(pairs) + 1) / 2)


def test_one_class_only_is_nan_with_a_reason_and_no_warning(recwarn):
    values, influence = metrics.influences(np.ones(3), np.array([0.1, 0.2, 0.9]), np.arange(3), 3, 0.5)
    assert np.isnan(values["roc_auc"])
    assert np.isnan(values["mcc"])
    assert values["average_precision"] == 1
    assert "roc_auc" not in influence
    assert metrics.undefined_reason("roc_auc", 3, 3) == "one class only"
    assert metrics.undefined_reason("roc_auc", 0, 0) == "no alerts"
    assert "no positive alert" in metrics.undefined_reason("precision", 5, 0)
    empty, _ = metrics.influences(np.zeros(0), np.zeros(0), np.zeros(0, int), 3, 0.5)
    assert all(np.isnan(value) for value in empty.values())
    assert not recwarn.list


def test_a_run_that_predicts_nothing_positive_counts_as_zero():
    label, score = np.array([1, 1, 0, 0]), np.array([0.1, 0.3, 0.2, 0.4])
    values, influence = metrics.influences(label, score, np.arange(4), 4, 0.5)
    for name in ("precision", "mcc", "f1", "recall"):
        assert values[name] == 0
        assert not np.isnan(influence[name]).any()
    # Not where the alerts have one class only: no seed could do better.
    assert np.isnan(metrics.confusion_value("mcc", [0, 0, 3, 0]))
    assert np.isnan(metrics.confusion_value("precision", [0, 0, 0, 3]))
    assert np.isnan(metrics.confusion_gradient("precision", [0, 0, 0, 3])).all()


def test_strata_equal_metrics_of_the_parts():
    label, score, source = alerts(7)
    codes = np.where(source % 5 == 4, -1, source % 3)
    table = metrics.stratified(label, score, source, {"third": (codes, ["a", "b", "c"])}, 0.5)
    for code, name in enumerate("abc"):
        part = codes == code
        values, _ = metrics.influences(label[part], score[part], source[part], 40, 0.5)
        assert table[name] == pytest.approx(values)


def test_permuted_scores_give_half_within_their_interval():
    from alertgrid.comparison import contrast, group

    inside = 0
    for seed in range(40):
        label, score, source = alerts(seed, sources=60)
        shuffled = np.random.default_rng(seed).permutation(score)
        values, influence = metrics.influences(label, shuffled, source, 60, 0.5)
        classes = np.zeros(60, bool)
        classes[source[label]] = True
        found = contrast([(1, group([values["roc_auc"]], [influence["roc_auc"]], classes, 20))], scale="logit")
        inside += found.low <= 0.5 <= found.high
    assert 34 <= inside <= 40


def test_threshold_is_the_best_on_validation_alerts():
    label = np.array([0, 0, 1, 0, 1, 1])
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    assert metrics.choose_threshold(label, score, 0.3) == 0.3
    # F1 at the cuts: above 0.2 gives 6/7; all others give less.
    assert metrics.choose_threshold(label, score, "f1") == pytest.approx(0.25)
    grid = np.linspace(0, 1, 201)
    for seed in range(5):
        label, score, _ = alerts(seed, ties=True)
        best = metrics.choose_threshold(label, score, "mcc")
        at = [sk.matthews_corrcoef(label, score > threshold) for threshold in grid]
        assert sk.matthews_corrcoef(label, score > best) == pytest.approx(max(at))
    assert metrics.choose_threshold(np.ones(3), score[:3], "f1") == 0.5
    with pytest.raises(StudyError, match="f2"):
        metrics.choose_threshold(label, score, "f2")
