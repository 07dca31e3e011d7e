"""Galaxies with known morphology from the same simulator, for pre-training on images like stamps.

The three channels are three noise levels of one galaxy, so that each has the statistics of the stamp's channel in its
place: one visit with its sky (science), a deep co-add in better seeing (template), and another visit without sky, zero
but for noise and a central object (difference). An encoder thus meets the pedestals, the noise and the point spread
that it will see in alerts, and the answer is in every channel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import h5py
import numpy as np

from alertgrid.columns import PIXEL_SCALE, STAMP_SIZE
from alertgrid.errors import StudyError
from alertgrid.files import atomic_path, end_on_sigterm, remove_leftovers
from alertgrid.progress import Progress
from alertgrid.sources.simulation import galaxies, imaging, optics, scene
from alertgrid.sources.simulation.photometry import cut
from alertgrid.sources.simulation.settings import Settings, checked_settings
from alertgrid.sources.simulation.sharing import in_order
from alertgrid.sources.simulation.survey import noise_excess, pixel_noise, sky_level
from alertgrid.stamps import preprocess_cutouts

TARGETS = {"bulge_fraction": "regression", "ellipticity": "regression", "arms": "regression", "merger": "binary"}
_STREAM = 7  # apart from the source sets, which are 0 to 3
_BATCH = 256
_EXACT = imaging.Flaws(0.0, 0.0, 0.0, 0.0)


def galaxy_corpus(count: int, seed: int = 0, workers: int = 1, **sky) -> tuple[np.ndarray, np.ndarray]:
    """Images of galaxies and what they show.

    Parameters
    ----------
    count : int
        Number of galaxies, at least 1.
    seed : int
        Root of all random numbers; a larger count keeps the earlier galaxies.
    workers : int
        Processes that share the work; the images are the same for any number of them.
    **sky
        Any field of `settings.Settings` that concerns weather or detector, such as `seeing` or `depth`.

    Returns
    -------
    images : ndarray (count, 3, 63, 63), float32
        One visit, deep co-add, another visit without sky; each of unit L2 norm.
    targets : ndarray (count, 4), float32
        In the order of `TARGETS`: light in the bulge, 0 to 1; 1 - axis ratio of the light, 0 to 1; contrast of the
        spiral arms times the disk's share of the light, 0 to 1; whether it merges with another galaxy, 0 or 1.

    Raises
    ------
    StudyError
        For a bad count or setting.
    """
    images, targets = zip(*_batches(count, seed, workers, sky), strict=True)
    return np.concatenate(images), np.concatenate(targets)


def write_corpus(path: str | Path, count: int, seed: int = 0, workers: int = 1, **sky) -> None:
    """Write a galaxy corpus to one HDF5 file, atomically and in batches.

    /images and /targets as returned by `galaxy_corpus`; attributes `targets` (names), `kinds` (regression or binary)
    and `seed`. Same parameters and errors as `galaxy_corpus`.
    """
    batches = _batches(count, seed, workers, sky)
    progress = Progress(count, "simulated galaxies", unit="images")
    remove_leftovers(path)
    with end_on_sigterm(), atomic_path(path) as temporary, h5py.File(temporary, "w") as handle:
        images = handle.create_dataset("images", (count, 3, STAMP_SIZE, STAMP_SIZE), "float32")
        targets = handle.create_dataset("targets", (count, len(TARGETS)), "float32")
        handle.attrs.update({"targets": list(TARGETS), "kinds": list(TARGETS.values()), "seed": seed})
        start = 0
        for some_images, some_targets in batches:
            stop = start + len(some_images)
            images[start:stop], targets[start:stop] = some_images, some_targets
            progress.step(stop - start)
            start = stop


def _batches(count: int, seed: int, workers: int, sky: dict) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and targets, some hundred at a time; settings are checked before the first."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise StudyError("corpus.count", f"{count!r} galaxies asked for", "an integer of at least 1", "correct count")
    settings = checked_settings(seed=seed, **sky)
    return _drawn_batches(in_order(partial(galaxy_cutouts, settings), range(count), workers))


def _drawn_batches(galaxies_drawn: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Galaxies joined to batches."""
    while made := list(islice(galaxies_drawn, _BATCH)):
        yield _batch(made)


def _batch(made: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Cutouts and targets of some galaxies as stamps and targets."""
    return preprocess_cutouts(np.stack([cutouts for cutouts, _ in made])), np.stack([target for _, target in made])


def galaxy_cutouts(settings: Settings, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Cutouts (3, 63, 63) in DN and targets (4,) of one galaxy."""
    rng = np.random.default_rng([settings.seed, _STREAM, index])
    galaxy, merger = _drawn(rng), bool(rng.random() < 0.3)
    # ASSUME: 13 to 17 mag in r, bright enough for the shape to show in one visit.
    r = scene.drawn_magnitude(rng, 13.0, 17.0, 0.1)
    field = scene.Scene()
    scene.fill_field(rng, field, stars_per_arcmin=3.0)
    x, y = rng.uniform(-0.5, 0.5, 2)
    field.add(x, y, r, r, 0.0, True, galaxy)
    if merger:
        _add_partner(rng, field, galaxy, (x, y), r)
    share = galaxy.bulge_fraction
    flattening = share * 0.5 * (1 - galaxy.axis_ratio) + (1 - share) * (1 - galaxy.axis_ratio)
    targets = np.array([share, flattening, galaxy.arm_strength * (1 - share), merger], dtype=np.float32)
    return _observed(settings, rng, field.transforms(settings.zero_point)[2]), targets


def _drawn(rng: np.random.Generator) -> galaxies.Galaxy:
    """A galaxy large enough to be seen in detail, with bulges of every share.

    ASSUME: half-light radii of 4.5 to 12 pixels, evenly in the logarithm.
    """
    radius = float(np.exp(rng.uniform(np.log(4.5), np.log(12))))
    galaxy = galaxies.draw_galaxy(rng, radius, armed=True)
    return dataclasses.replace(galaxy, bulge_fraction=float(rng.uniform(0, 0.9 if galaxy.arm_strength == 0 else 0.5)))


def _add_partner(rng, field: scene.Scene, galaxy: galaxies.Galaxy, place: tuple[float, float], r: float) -> None:
    """A second galaxy of like brightness within reach of the first, and tails of stars drawn out of both.

    ASSUME: within 1.2 mag and 0.8 to 2.2 radii; a tail holds 4 to 12 per cent of the light.
    """
    angle, distance = rng.uniform(0, 2 * np.pi), galaxy.radius * rng.uniform(0.8, 2.2)
    x, y = place[0] + distance * np.cos(angle), place[1] + distance * np.sin(angle)
    other = r + rng.uniform(-0.2, 1.2)
    field.add(x, y, other, other, 0.0, True, galaxies.draw_galaxy(rng, galaxy.radius * rng.uniform(0.5, 1.0), False))
    for start_x, start_y, outwards in ((*place, angle + np.pi), (x, y, angle)):
        steps = np.linspace(0.5, rng.uniform(2.5, 4.0), 40)
        bend = outwards + rng.choice([-1, 1]) * rng.uniform(0.2, 0.5) * steps
        light = r - 2.5 * np.log10(rng.uniform(0.04, 0.12) / len(steps))
        scatter = rng.normal(0, 0.15 * galaxy.radius, (2, len(steps)))
        tail_x = np.clip(start_x + galaxy.radius * steps * np.cos(bend) + scatter[0], -40, 40)
        tail_y = np.clip(start_y + galaxy.radius * steps * np.sin(bend) + scatter[1], -40, 40)
        for knot_x, knot_y in zip(tail_x, tail_y, strict=True):
            field.add(knot_x, knot_y, light, light, 0.5, False)


def _observed(settings: Settings, rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Cutouts (3, 63, 63): one visit, the template, another visit without its sky."""
    reference = imaging.reference(settings, rng, light)
    visit = _visit(settings, rng)
    first = imaging.expose(settings, rng, reference, visit, (0.0, 0.0, 0.0), _EXACT)
    second = imaging.expose(settings, rng, reference, visit, (0.0, 0.0, 0.0), _EXACT)
    planes = (first.science, reference.pixels, second.science - visit["sky"])
    return np.stack([cut(plane, optics.CENTRE, optics.CENTRE, STAMP_SIZE // 2) for plane in planes]).astype(np.float32)


def _visit(settings: Settings, rng: np.random.Generator) -> dict[str, float]:
    """Conditions of a random visit: the survey's seeing, a median sky with some moonlight."""
    fwhm = max(settings.seeing * np.exp(settings.seeing_scatter * rng.standard_normal()), 1.0) / PIXEL_SCALE
    sky = float(sky_level(settings, settings.sky_brightness + rng.normal(0, 0.3), settings.zero_point))
    sigma = float(pixel_noise(settings, sky) * noise_excess(settings))
    return {"fwhm": float(fwhm), "sky": sky, "zero_point": settings.zero_point, "sigma": sigma}
