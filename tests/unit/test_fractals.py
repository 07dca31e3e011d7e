"""Fractals as a corpus: the same again, dense, and drawn as the formula says."""

import numpy as np
import pytest
from alertgrid.corpora import fractals, load_corpus
from alertgrid.errors import StudyError


def test_fractals_are_reproducible_and_differ_by_class():
    settings = {"source": "fractals", "classes": 3, "images_per_class": 6, "seed": 5}
    corpus, again = load_corpus(settings), load_corpus(settings)
    np.testing.assert_array_equal(corpus.images, again.images)
    assert not np.array_equal(corpus.images, load_corpus({**settings, "seed": 6}).images)
    lengths = np.linalg.norm(corpus.images.astype(np.float32), axis=(-2, -1))
    np.testing.assert_allclose(lengths, 1, atol=2e-3)
    assert corpus.targets.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert [(corpus.split[corpus.targets == k] == "val").sum() for k in range(3)] == [1, 1, 1]
    assert (corpus.images[:, 0] == corpus.images[:, 2]).all()
    # The first classes do not depend on how many there are.
    fewer = load_corpus({**settings, "classes": 2})
    np.testing.assert_array_equal(fewer.images, corpus.images[:12])


def test_fractal_classes_fill_the_image():
    for drawn in fractals.fractal_classes(3, 2, 1):
        assert drawn.shape == (2, 63, 63)
        assert (drawn > 0).mean() > fractals.MIN_FILL / 3


def test_the_chaos_game_draws_a_known_fractal():
    # Sierpinski's triangle: three maps that halve the distance to a corner; the middle of the triangle stays empty.
    maps = np.array([[0.5, 0, 0, 0.5, 0, 0], [0.5, 0, 0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5, 0, 0.5]])
    counts = fractals.render(maps[None], np.full(3, 1 / 3), np.random.default_rng(0))[0]
    rows, columns = np.nonzero(counts)
    assert (rows + columns <= 64).all()
    assert counts.sum() == fractals.WALKERS * (fractals.STEPS - fractals.BURN_IN)
    assert counts[20:29, 20:29].sum() == 0
    corners = [counts[:31, :31].sum(), counts[31:].sum(), counts[:, 31:].sum()]
    np.testing.assert_allclose(np.array(corners) / counts.sum(), 1 / 3, atol=0.03)


def test_a_seed_without_a_dense_system_is_explained(monkeypatch):
    monkeypatch.setattr(fractals, "MIN_FILL", 1.1)
    monkeypatch.setattr(fractals, "_ATTEMPTS", 2)
    with pytest.raises(StudyError, match="another seed"):
        fractals.find_system(np.random.default_rng(0))
