"""Preprocessing of cutouts: worked examples, a plain loop, and the published stamps."""

from __future__ import annotations

import numpy as np
import pytest
from alertgrid.stamps import PADDING, preprocess_alert, preprocess_cutouts, refusal_reason


def plain(cutout: np.ndarray) -> np.ndarray:
    """One cutout, word for word as published."""
    filled = np.where(np.isnan(cutout), 0.0, cutout.astype(np.float64))
    stamp = np.full((63, 63), 1e-9)
    stamp[: cutout.shape[0], : cutout.shape[1]] = filled / np.sqrt((filled**2).sum())
    return stamp


@pytest.mark.parametrize(("height", "width"), [(63, 63), (43, 63), (63, 20), (51, 51)])
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
def test_a_batch_equals_a_plain_loop(height, width, dtype):
    rng = np.random.default_rng(3)
    cutouts = rng.normal(200, 30, (5, 3, height, width)).astype(dtype)
    cutouts[0, 1, :4] = np.nan
    stamps = preprocess_cutouts(cutouts)
    expected = np.array([[plain(cutout) for cutout in alert] for alert in cutouts])
    assert stamps.dtype == np.float32
    np.testing.assert_allclose(stamps, expected, rtol=1e-6, atol=0)


def test_norm_is_one_before_padding_and_padding_is_at_the_high_end():
    stamps = preprocess_cutouts(np.full((1, 3, 60, 50), 7.0))
    np.testing.assert_allclose(np.linalg.norm(stamps[..., :60, :50].astype(float), axis=(2, 3)), 1, rtol=1e-6)
    assert (stamps[..., 60:, :] == np.float32(PADDING)).all()
    assert (stamps[..., :, 50:] == np.float32(PADDING)).all()


def test_integers_do_not_overflow_and_the_input_is_left_as_it_was():
    cutouts = np.full((1, 3, 51, 51), 255, np.uint8)
    np.testing.assert_allclose(preprocess_cutouts(cutouts)[0, 0, :51, :51], 1 / 51, rtol=1e-6)
    masked = np.full((1, 3, 63, 63), np.nan)
    preprocess_cutouts(masked)
    assert np.isnan(masked).all()


def test_cutouts_of_one_alert_may_differ_in_shape():
    alert = [np.ones((63, 63)), np.full((63, 40), 2.0), np.full((30, 63), -3.0)]
    stamps = preprocess_alert(alert)
    np.testing.assert_allclose(stamps, [plain(cutout) for cutout in alert], rtol=1e-6)


def good() -> list[np.ndarray]:
    return [np.ones((63, 63)) for _ in range(3)]


def test_good_cutouts_are_not_refused():
    cutouts = good()
    cutouts[1][:20] = np.nan
    cutouts[2] = np.ones((43, 63))
    assert refusal_reason(cutouts) is None


@pytest.mark.parametrize(
    ("channel", "cutout", "reason"),
    [
        (0, np.full((63, 63), np.nan), "median of the science cutout is not finite"),
        (1, np.pad(np.ones((63, 30)), ((0, 0), (0, 33)), constant_values=np.inf), "median of the template cutout"),
        (1, np.pad(np.ones((63, 62)), ((0, 0), (0, 1)), constant_values=-np.inf), "template cutout has infinite"),
        (2, np.where(np.eye(63) > 0, np.nan, 0), "difference cutout is all zero"),
        (2, np.zeros((63, 63)), "difference cutout is all zero"),
        (2, np.ones((64, 63)), r"difference cutout has shape \(64, 63\)"),
        (0, np.ones((0, 63)), "science cutout has shape"),
        (0, np.ones(63), "science cutout has shape"),
    ],
)
def test_unusable_cutouts_are_refused_with_a_reason(channel, cutout, reason):
    cutouts = good()
    cutouts[channel] = cutout
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refusal_reason(cutouts))


@pytest.mark.real
def test_published_stamps_are_a_fixed_point(real_data):
    published = np.load(real_data / "ztf" / "test_triplets.npy").transpose(0, 3, 1, 2)
    np.testing.assert_allclose(preprocess_cutouts(published), published, rtol=0, atol=1e-7)
