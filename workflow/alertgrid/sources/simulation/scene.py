"""What stands on a patch of sky: field stars and galaxies, the counterpart of the source, the catalogue of them.

Positions are in pixels from the nominal place of the source. The catalogue stands for Pan-STARRS, ZTF's source of
`sgscore*`, `distpsnr*` and `nmtchps`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alertgrid.columns import MISSING, PIXEL_SCALE
from alertgrid.sources.simulation import galaxies, optics

HALF_FIELD = 38.0  # pixels: the stamp and a margin from which light spills in
CATALOGUE_RADIUS = 30.0  # arcsec
FIELD_SQUARE_ARCMIN = (2 * HALF_FIELD * PIXEL_SCALE / 60) ** 2
# ASSUME: galaxies fainter than this are smaller than a pixel and drawn as points.
RESOLVED_LIMIT = 20.3
FAINT_LIMIT = 22.8
GALACTIC_POLE = (192.8595, 27.1283)  # J2000, degrees


@dataclass
class Scene:
    """Objects of a scene, one entry each; `shape` is None for points.

    x, y: pixels; g, r: magnitudes; score: star-galaxy score, 0 galaxy to 1 star; listed: whether the catalogue has it.
    """

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    g: list[float] = field(default_factory=list)
    r: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    listed: list[bool] = field(default_factory=list)
    shape: list[galaxies.Galaxy | None] = field(default_factory=list)

    def add(self, x: float, y: float, g: float, r: float, score: float, listed: bool, shape=None) -> None:
        """Put one more object into the scene."""
        for values, value in zip(
            (self.x, self.y, self.g, self.r, self.score, self.listed, self.shape),
            (x, y, g, r, score, listed, shape),
            strict=True,
        ):
            values.append(value)

    def transforms(self, zero_point: float) -> dict[int, np.ndarray]:
        """Fourier transform of all light by band (1 = g, 2 = r), in DN at the zero point."""
        x, y = np.array(self.x), np.array(self.y)
        flux = {1: 10 ** (0.4 * (zero_point - np.array(self.g))), 2: 10 ** (0.4 * (zero_point - np.array(self.r)))}
        resolved = np.array([shape is not None for shape in self.shape], dtype=bool)
        light = {band: optics.points(x[~resolved], y[~resolved], flux[band][~resolved]) for band in flux}
        for index in np.flatnonzero(resolved):
            waves = galaxies.transform(self.shape[index]) * optics.phase(x[index], y[index])
            for band in flux:
                light[band] += flux[band][index] * waves
        return light

    def neighbours(self, x: float, y: float) -> np.ndarray:
        """Indices of the catalogue's objects within 30 arcsec of (x, y), nearest first."""
        distance = np.hypot(np.array(self.x) - x, np.array(self.y) - y) * PIXEL_SCALE
        near = np.flatnonzero((distance < CATALOGUE_RADIUS) & np.array(self.listed, dtype=bool))
        return near[np.argsort(distance[near], kind="stable")]


def star_density(ra: float, dec: float) -> float:
    """Stars per square arcmin to the catalogue's depth.

    ASSUME: 1.7 at the galactic poles, seventy at the plane, falling with a scale of 8 degrees in latitude.
    """
    ra, dec, pole_ra, pole_dec = np.radians([ra, dec, *GALACTIC_POLE])
    sine = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
    return float(1.7 + 70 * np.exp(-abs(np.degrees(np.arcsin(sine))) / 8))


def fill_field(rng: np.random.Generator, scene: Scene, stars_per_arcmin: float) -> None:
    """Add field stars and galaxies at random places.

    ASSUME: star counts grow by 0.2 dex per mag from 13, galaxy counts by 0.45 dex per mag from 15.5, both to 22.8 mag
    in r; 2.8 galaxies per square arcmin.
    """
    for _ in range(rng.poisson(stars_per_arcmin * FIELD_SQUARE_ARCMIN)):
        r = drawn_magnitude(rng, 13.0, FAINT_LIMIT, 0.2)
        add_star(rng, scene, *rng.uniform(-HALF_FIELD, HALF_FIELD, 2), r)
    for _ in range(rng.poisson(2.8 * FIELD_SQUARE_ARCMIN)):
        r = drawn_magnitude(rng, 15.5, FAINT_LIMIT, 0.45)
        add_galaxy(rng, scene, *rng.uniform(-HALF_FIELD, HALF_FIELD, 2), r)


def drawn_magnitude(rng: np.random.Generator, bright: float, faint: float, slope: float) -> float:
    """A magnitude between two limits with counts growing by `slope` dex per mag (falling where it is negative)."""
    low, high = 10 ** (slope * bright), 10 ** (slope * faint)
    return float(np.log10(low + (high - low) * rng.random()) / slope)


def add_star(rng: np.random.Generator, scene: Scene, x: float, y: float, r: float, colour: float | None = None) -> None:
    """A point source with a star's colour and star-galaxy score."""
    colour = rng.uniform(0.2, 1.4) if colour is None else colour
    # ASSUME: the score of stars falls from near 1 to ambiguous as they fade towards the catalogue's limit.
    score = _logistic(rng.normal(4.7 - 1.2 * max(r - 19.0, 0), 1.8))
    scene.add(x, y, r + colour, r, *_catalogued(rng, score, r))


def add_galaxy(
    rng: np.random.Generator, scene: Scene, x: float, y: float, r: float, radius: float | None = None
) -> galaxies.Galaxy:
    """A galaxy of magnitude r; returns its shape. `radius` (pixels) is drawn from the magnitude when not given.

    ASSUME: half-light radius 3 arcsec at 17 mag, shrinking by 0.16 dex per mag, with 0.17 dex of scatter.
    """
    drawn = 3.0 / PIXEL_SCALE * 10 ** (-0.16 * (r - 17) + rng.normal(0, 0.17))
    radius = float(np.clip(drawn if radius is None else radius, 0.2, 14.0))
    shape = galaxies.draw_galaxy(rng, radius, armed=r < 17.5 and radius > 3)
    score = _logistic(rng.normal(-3.5 + 0.8 * max(r - 18.0, 0), 2.2))
    score, listed = _catalogued(rng, score, r)
    scene.add(x, y, r + rng.normal(0.65, 0.15), r, score, listed, shape if r < RESOLVED_LIMIT else None)
    return shape


def _catalogued(rng: np.random.Generator, score: float, r: float) -> tuple[float, bool]:
    """Score and presence in the catalogue: faint objects often lack a score (0.5) or are missed."""
    scoreless = rng.random() < 0.08 + 0.3 * _logistic(2 * (r - 21.5))
    listed = rng.random() < _logistic(4 * (22.6 - r))
    return (0.5 if scoreless else float(np.clip(score, 0, 1))), bool(listed)


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def counterpart_columns(rng: np.random.Generator, scene: Scene, x: float, y: float, blur: float) -> dict[str, float]:
    """sgscore1, distpsnr1, sgscore2, distpsnr2 and nmtchps of an alert at (x, y); -999 where nothing is near.

    `blur` is the error of the alert's position in pixels per axis.
    """
    x, y = x + rng.normal(0, blur), y + rng.normal(0, blur)
    near = scene.neighbours(x, y)
    row = {"nmtchps": float(len(near))}
    for rank in (1, 2):
        found = len(near) >= rank
        index = near[rank - 1] if found else -1
        row[f"sgscore{rank}"] = scene.score[index] if found else MISSING
        distance = np.hypot(scene.x[index] - x, scene.y[index] - y) * PIXEL_SCALE if found else MISSING
        row[f"distpsnr{rank}"] = float(distance)
    return row
