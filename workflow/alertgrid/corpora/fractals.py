"""Formula-driven images: a corpus that needs no download and no photographs, as a stand-in for everyday images.

Each class is an iterated function system, each image a rendering of it with one coefficient changed a little.
Source: Kataoka et al. 2020, "Pre-training without natural images" (FractalDB); numbers below are theirs unless marked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..columns import STAMP_SIZE
from ..errors import StudyError
from ..stamps import preprocess_cutouts
from .corpus import Corpus, Task, draw_validation, empty_images

MIN_FILL = 0.2  # share of the pixels that a class must reach
WEIGHTS = (0.8, 1.2)  # range of the factor that tells the images of a class apart
# ASSUME: 160 walkers of 100 steps (FractalDB: one of 100,000 for 362 pixels) fill 63 x 63 pixels densely enough.
WALKERS, STEPS, BURN_IN = 160, 100, 20
_ATTEMPTS = 200  # systems tried for one class before giving up; about two in five serve


def draw_system(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Affine maps x -> A x + b of a random system.

    Returns
    -------
    maps : (m, 6) float64
        a, b, c, d, e, f of (x, y) -> (a x + b y + e, c x + d y + f), each uniform in [-1, 1]; m from 2 to 8.
    shares : (m,) float64
        Probability of each map, in proportion to its determinant's size.
    """
    maps = generator.uniform(-1, 1, (generator.integers(2, 9), 6))
    size = np.abs(maps[:, 0] * maps[:, 3] - maps[:, 1] * maps[:, 2]) + 1e-6
    return maps, size / size.sum()


def render(maps: np.ndarray, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Play the chaos game and count the points in each pixel.

    Parameters
    ----------
    maps : (n, m, 6) float
        A system for each image.
    shares : (m,) float
        Probability of each map.

    Returns
    -------
    (n, 63, 63) int64
        Counts; the points of an image span it from edge to edge.
    """
    images = len(maps)
    chosen = np.searchsorted(np.cumsum(shares)[:-1], generator.random((STEPS, images, WALKERS)))
    points = np.zeros((images, WALKERS, 2))
    orbit = np.empty((STEPS - BURN_IN, images, WALKERS, 2))
    row = np.arange(images)[:, None]
    for step in range(STEPS):
        a, b, c, d, e, f = np.moveaxis(maps[row, chosen[step]], -1, 0)
        x, y = points[..., 0], points[..., 1]
        points = np.stack((a * x + b * y + e, c * x + d * y + f), axis=-1)
        if step >= BURN_IN:
            orbit[step - BURN_IN] = points
    return _count(orbit.transpose(1, 0, 2, 3).reshape(images, -1, 2))


def _count(points: np.ndarray) -> np.ndarray:
    """(n, p, 2) points -> (n, 63, 63) counts."""
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    scaled = (points - low) / np.maximum(high - low, 1e-12) * (STAMP_SIZE - 1)
    pixel = scaled.round().astype(np.int64)
    flat = (np.arange(len(points))[:, None] * STAMP_SIZE + pixel[..., 1]) * STAMP_SIZE + pixel[..., 0]
    counts = np.bincount(flat.ravel(), minlength=len(points) * STAMP_SIZE**2)
    return counts.reshape(len(points), STAMP_SIZE, STAMP_SIZE)


def find_system(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A system whose image fills at least `MIN_FILL` of the pixels."""
    for _ in range(_ATTEMPTS):
        maps, shares = draw_system(generator)
        if (render(maps[None], shares, generator) > 0).mean() >= MIN_FILL:
            return maps, shares
    raise StudyError(
        "fractals", f"no system of {_ATTEMPTS} fills {MIN_FILL:.0%} of an image", "one", "choose another seed"
    )


def fractal_classes(classes: int, images_per_class: int, seed: int) -> Iterator[np.ndarray]:
    """Images of one class after the other.

    Parameters
    ----------
    classes, images_per_class : int
        Size of the corpus.
    seed : int
        Class k depends on the seed and k alone.

    Yields
    ------
    (images_per_class, 63, 63) float32
        Logarithm of 1 + the number of points in each pixel.
    """
    for number in range(classes):
        generator = np.random.default_rng([seed, number])
        maps, shares = find_system(generator)
        varied = np.repeat(maps[None], images_per_class, axis=0)
        # ASSUME: the factor is drawn evenly from FractalDB's range, which takes five fixed values of it.
        coefficient = generator.integers(6, size=images_per_class)
        varied[np.arange(images_per_class), :, coefficient] *= generator.uniform(*WEIGHTS, (images_per_class, 1))
        # In blocks, since the orbits of an image take 300 kB.
        blocks = [render(block, shares, generator) for block in np.array_split(varied, -(-images_per_class // 100))]
        yield np.log1p(np.concatenate(blocks)).astype(np.float32)


def draw_fractals(
    *, classes: int = 100, images_per_class: int = 100, seed: int = 0, val_share: float = 0.1, name: str = "fractals"
) -> Corpus:
    """Draw a corpus of fractals; the class is the iterated function system.

    Nothing is stored on disk: all images are drawn before the first step, and drawn again, the same, when a
    pre-training goes on after a stop.

    Parameters
    ----------
    classes, images_per_class : int
        Size of the corpus; at least 2 of each.
    seed : int
        Of the systems and of the division.
    val_share : float
        Share of each class for validation.
    name : str
        For the manifest.
    """
    stored = empty_images(classes * images_per_class)
    for number, drawn in enumerate(fractal_classes(classes, images_per_class, seed)):
        # As in FractalDB the picture is grey: the three channels are equal.
        rows = slice(number * images_per_class, (number + 1) * images_per_class)
        stored[rows] = preprocess_cutouts(np.repeat(drawn[:, None], 3, axis=1))
    targets = np.repeat(np.arange(classes), images_per_class)
    task = Task("classification", ("system",), ("classes",), tuple(f"system {number}" for number in range(classes)))
    return Corpus(name, stored, targets, draw_validation(targets, val_share, seed), task, "MIT")
