"""What a pipeline measures on the difference and the template: flux, error, fit quality, width, signal to noise.

Weights are the point spread's, as in PSF photometry with uniform noise; quantities are named as in ZTF's alert schema.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alertgrid.columns import MISSING
from alertgrid.sources.simulation import optics
from alertgrid.sources.simulation.imaging import Exposure, Reference

FIT_RADIUS = 5
SHAPE_RADIUS = 2
SEARCH_RADIUS = 6
SKY_RING = (8, 13)  # pixels
# ASSUME: zero points are known to 0.012 mag, and fluxes of bright sources to 2 per cent when their signal to noise is
# judged (ZTF's scorr allows for registration).
ZERO_POINT_ERROR = 0.012
FLUX_ERROR = 0.02

_RING_ROWS, _RING_COLUMNS = np.indices((2 * SKY_RING[1] + 1, 2 * SKY_RING[1] + 1)) - SKY_RING[1]
_RING = np.digitize(np.hypot(_RING_ROWS, _RING_COLUMNS), SKY_RING) == 1


@dataclass(frozen=True)
class Detection:
    """One measurement: flux and its error in DN, local background, and the columns that come from it."""

    flux: float
    error: float
    sky: float
    scorr: float
    chipsf: float
    fwhm: float

    @property
    def positive(self) -> bool:
        """Whether the source is brighter than in the template."""
        return self.flux > 0


def cut(pixels: np.ndarray, row: int, column: int, radius: int) -> np.ndarray:
    """Square of side 2 radius + 1 about a pixel of the grid."""
    return pixels[row - radius : row + radius + 1, column - radius : column + radius + 1]


def measure(exposure: Exposure, row: int, column: int, fwhm: float) -> Detection | None:
    """PSF photometry on the difference at a pixel; None where too much is masked.

    Parameters
    ----------
    row, column : int
        Pixel whose neighbourhood is fitted; the point spread is moved there from the grid's centre pixel.
    fwhm : float
        The visit's seeing, pixels.
    """
    data = cut(exposure.difference, row, column, FIT_RADIUS)
    good = np.isfinite(data)
    ring = cut(exposure.difference, row, column, SKY_RING[1])[_RING]
    if good.mean() < 0.5 or not good[3:-3, 3:-3].any() or np.isfinite(ring).sum() < 20:
        return None
    sky = float(np.nanmedian(ring))
    psf = np.where(good, cut(exposure.psf, optics.CENTRE, optics.CENTRE, FIT_RADIUS), 0)
    light = np.where(good, data - sky, 0)
    weight = np.sum(psf**2)
    flux = float(np.sum(psf * light) / weight)
    error = float(np.sqrt(np.sum(psf**2 * cut(exposure.variance, row, column, FIT_RADIUS))) / weight)
    inner = slice(FIT_RADIUS - SHAPE_RADIUS, FIT_RADIUS + SHAPE_RADIUS + 1)
    misfit = (light - flux * psf)[inner, inner] / exposure.background
    wider = width_excess(light, psf)
    return Detection(
        flux=flux,
        error=error,
        sky=sky,
        scorr=abs(flux) / np.hypot(error, FLUX_ERROR * flux),
        chipsf=float(np.sum(misfit**2) / (misfit.size - 1)),
        fwhm=float(np.sqrt(np.clip(fwhm**2 + optics.GAUSSIAN_FWHM * wider, 1.0**2, 12.0**2))),
    )


def width_excess(light: np.ndarray, psf: np.ndarray) -> float:
    """How much wider than the point spread a source is: excess variance per axis in square pixels.

    A Gaussian kernel of small variance s changes an image by s / 2 times its Laplacian; s is fitted by least squares.
    """
    padded = np.pad(psf, 1, mode="edge")
    laplacian = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * psf
    half = 0.5 * laplacian
    design = np.array([[np.sum(psf * psf), np.sum(psf * half)], [np.sum(psf * half), np.sum(half * half)]])
    amplitude, change = np.linalg.solve(design, [np.sum(psf * light), np.sum(half * light)])
    return float(change / amplitude) if amplitude else 0.0


def locate(exposure: Exposure) -> tuple[int, int]:
    """Pixel near the centre where the matched filter of the difference is largest in absolute value."""
    span = SEARCH_RADIUS + 3
    data = np.nan_to_num(cut(exposure.difference, optics.CENTRE, optics.CENTRE, span))
    psf = cut(exposure.psf, optics.CENTRE, optics.CENTRE, 3)
    windows = np.lib.stride_tricks.sliding_window_view(data, psf.shape)
    filtered = np.abs(np.einsum("ijkl,kl->ij", windows, psf))
    row, column = np.unravel_index(np.argmax(filtered), filtered.shape)
    return int(row) + optics.CENTRE - SEARCH_RADIUS, int(column) + optics.CENTRE - SEARCH_RADIUS


def template_source(rng: np.random.Generator, ref: Reference, x: float, y: float) -> dict[str, float]:
    """Fit quality `chinr` and sharpness `sharpnr` of the template's source at (x, y) pixels from the centre pixel.

    sharpnr is the excess variance in square pixels as in DAOPHOT (Stetson 1987, PASP 99, 191): near 0 for stars,
    positive for galaxies; chinr allows the point spread an error of 8 per cent. -999 where pixels are missing.

    ASSUME: a real pipeline breaks large galaxies into several point sources and its neighbours disturb the fit, which
    keeps chinr under 10 and scatters it by 0.25 in the logarithm and sharpnr by 0.12.
    """
    row, column = optics.CENTRE + round(y), optics.CENTRE + round(x)
    radius = 3
    data = cut(ref.pixels, row, column, radius)
    if not np.isfinite(data).all():
        return {"chinr": MISSING, "sharpnr": MISSING}
    psf = cut(optics.image(ref.psf * optics.phase(x, y)), row, column, radius)
    light = data - np.median(ref.pixels[np.isfinite(ref.pixels)])
    flux = float(np.sum(psf * light) / np.sum(psf**2))
    expected = np.sqrt(ref.sigma**2 + (0.08 * flux * psf) ** 2)
    chi = np.sqrt(np.mean(((light - flux * psf) / expected) ** 2))
    chi *= np.exp(rng.normal(0, 0.25)) / (1 + chi / 10)
    sharp = width_excess(light, psf) + rng.normal(0, 0.12)
    return {"chinr": float(chi), "sharpnr": float(np.clip(sharp, -1, 1))}
