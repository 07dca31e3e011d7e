"""What detectors and pipelines do wrong: cosmic rays, borders, masks, bleeding charge, bad alignment.

`ARTEFACTS` lists what makes a false detection; `add_masks` is for any source, since real stamps of all classes have
masked boxes and borders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alertgrid.sources.simulation.imaging import Exposure
from alertgrid.sources.simulation.optics import CENTRE, GRID

_ROWS, _COLUMNS = np.indices((GRID, GRID)) - CENTRE


@dataclass(frozen=True)
class Artefact:
    """One way to a false detection.

    misfit: how many times worse than usual the subtraction is; damage: what happens to the pixels of the exposure.
    """

    misfit: float
    damage: Callable[[np.random.Generator, Exposure], None]


def _no_damage(rng: np.random.Generator, exposure: Exposure) -> None:
    """Bad alignment alone."""


def _add_charge(exposure: Exposure, charge: np.ndarray) -> None:
    """Put light into science and difference that never went through the optics."""
    exposure.science += charge
    exposure.difference += charge


def cosmic_ray(rng: np.random.Generator, exposure: Exposure) -> None:
    """A straight track of 1 to 6 pixels, not smeared by seeing. ASSUME: 15 to 80 sigma per pixel."""
    length, angle = rng.uniform(0, 5), rng.uniform(0, np.pi)
    steps = np.linspace(-length / 2, length / 2, 30)
    rows, columns = np.rint(CENTRE + np.outer([np.sin(angle), np.cos(angle)], steps)).astype(int)
    track = np.zeros((GRID, GRID))
    track[rows, columns] = 1
    strength = exposure.background * np.exp(rng.uniform(np.log(12), np.log(60)))
    _add_charge(exposure, track * strength * rng.uniform(0.3, 1.0, track.shape))


def edge(rng: np.random.Generator, exposure: Exposure) -> None:
    """A blot along the border of the detector, 2 to 9 pixels from it, and nothing beyond."""
    distance, along_rows = rng.uniform(2, 9), rng.random() < 0.5
    along, across = (_ROWS, _COLUMNS) if along_rows else (_COLUMNS, _ROWS)
    length, width = rng.uniform(0.9, 4.0), rng.uniform(0.6, 1.3)
    height = exposure.background * np.exp(rng.uniform(np.log(4), np.log(40)))
    _add_charge(exposure, height * np.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2)))
    beyond = across * rng.choice([-1, 1]) > distance
    # The last columns before a border are often hot.
    rim = beyond ^ np.roll(beyond, rng.choice([-1, 1]), axis=1 if along_rows else 0)
    _add_charge(exposure, np.where(rim, height * rng.uniform(0, 1), 0))
    _mask(exposure, beyond, template=rng.random() < 0.7)


def bleeding(rng: np.random.Generator, exposure: Exposure) -> None:
    """Charge of a saturated star spilled along its row, in template and science alike but not quite."""
    reach = rng.uniform(2, 8)
    spill = np.exp(-np.abs(_COLUMNS) / reach) * np.exp(-0.5 * (_ROWS / 0.7) ** 2)
    strength = rng.uniform(1_000, 6_000)
    exposure.template += spill * strength
    # ASSUME: the two agree to 3 per cent; real false detections at bright stars have a signal to noise of 5 to 20.
    science = spill * strength * rng.normal(1, 0.03)
    exposure.science += science
    exposure.difference += science - spill * strength


def add_masks(rng: np.random.Generator, exposure: Exposure) -> None:
    """Now and then a masked box or a border away from the source.

    ASSUME: one stamp in twenty-five has boxes, one in thirty a border.
    """
    if rng.random() < 0.04:
        for _ in range(rng.integers(1, 4)):
            row, column = rng.integers(-30, 31, 2)
            near = (np.abs(_ROWS - row) <= 6) & (np.abs(_COLUMNS - column) <= 6)
            if max(abs(row), abs(column)) > 11:
                _mask(exposure, near, template=True)
    if rng.random() < 1 / 30:
        across = _ROWS if rng.random() < 0.5 else _COLUMNS
        _mask(exposure, across * rng.choice([-1, 1]) > rng.uniform(9, 31), template=rng.random() < 0.7)


def _mask(exposure: Exposure, pixels: np.ndarray, template: bool) -> None:
    """Take pixels out of science and difference, and out of the template where it ends there too."""
    exposure.science[pixels] = np.nan
    exposure.difference[pixels] = np.nan
    if template:
        exposure.template[pixels] = np.nan


ARTEFACTS = {
    "dipole": Artefact(misfit=5.0, damage=_no_damage),
    "saturated": Artefact(misfit=1.0, damage=bleeding),
    "cosmic_ray": Artefact(misfit=1.0, damage=cosmic_ray),
    "edge": Artefact(misfit=1.0, damage=edge),
}
