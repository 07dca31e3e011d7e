"""How light becomes pixels: point spread function, pixel response and sampling, in Fourier space.

A scene is kept as its Fourier transform on a grid of twice the pixels' sampling, so that one visit costs a product and
a small inverse transform. Sampling at the pixels adds the aliases, as a detector does. Profiles come from GalSim (Rowe
et al. 2015, Astronomy and Computing 10, 121).
"""

from __future__ import annotations

import functools

import galsim
import numpy as np
from scipy import fft

GRID = 96  # pixels a side that are rendered; the margin around the 63 of a stamp keeps wrapped light out
CENTRE = GRID // 2
OVERSAMPLING = 2
FINE = GRID * OVERSAMPLING
# ASSUME: the seeing disc is a Moffat profile of index 3, as at Palomar; broad wings matter around bright stars.
MOFFAT_BETA = 3.0
GAUSSIAN_FWHM = 8 * np.log(2)  # FWHM^2 in units of sigma^2

KY = 2 * np.pi * fft.fftfreq(FINE, 1 / OVERSAMPLING)  # radians per pixel
KX = 2 * np.pi * fft.rfftfreq(FINE, 1 / OVERSAMPLING)
K = np.hypot(KY[:, None], KX[None, :])
PIXEL_RESPONSE = np.sinc(KY / (2 * np.pi))[:, None] * np.sinc(KX / (2 * np.pi))[None, :]
NATIVE_K2 = (2 * np.pi * fft.fftfreq(GRID))[:, None] ** 2 + (2 * np.pi * fft.rfftfreq(GRID))[None, :] ** 2
_MIRROR = -np.arange(GRID) % GRID
_STEP = 0.02


@functools.lru_cache(maxsize=1)
def _moffat_table() -> np.ndarray:
    """Fourier transform of a Moffat profile of unit FWHM at wavenumbers 0, _STEP, 2 _STEP ..."""
    size = 4096
    row = galsim.ImageCD(galsim.BoundsI(0, size - 1, 0, 0))
    galsim.Moffat(beta=MOFFAT_BETA, fwhm=1.0).drawKImage(image=row, scale=_STEP, recenter=False)
    return np.ascontiguousarray(row.array[0].real)


def point_spread(fwhm: float) -> np.ndarray:
    """Fourier transform of seeing and pixel together, unit flux.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum of the seeing, pixels.

    Returns
    -------
    ndarray (FINE, FINE // 2 + 1), float64
    """
    table = _moffat_table()
    position = K * (fwhm / _STEP)
    index = np.minimum(position.astype(np.int64), len(table) - 2)
    fraction = np.minimum(position - index, 1.0)
    low = table[index]
    return (low + fraction * (table[index + 1] - low)) * PIXEL_RESPONSE


def phase(x: float, y: float) -> np.ndarray:
    """Factor that moves an object at the origin to (x, y) pixels from the grid's centre pixel."""
    return np.exp(-1j * KY * (CENTRE + y))[:, None] * np.exp(-1j * KX * (CENTRE + x))[None, :]


def shift(x: float, y: float) -> np.ndarray:
    """Factor that moves a whole scene by (x, y) pixels."""
    return np.exp(-1j * KY * y)[:, None] * np.exp(-1j * KX * x)[None, :]


def points(x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Transform of many point sources at (x, y) pixels from the centre pixel."""
    rows = np.exp(-1j * np.outer(KY, CENTRE + y)) * flux
    return rows @ np.exp(-1j * np.outer(CENTRE + x, KX))


def sampled(transform: np.ndarray) -> np.ndarray:
    """Transform on the pixel grid: the fine grid folded, which adds the aliases that sampling makes."""
    folded = transform[:GRID] + transform[GRID:]
    return folded[:, : GRID // 2 + 1] + folded[_MIRROR, ::-1][:, : GRID // 2 + 1].conj()


def image(transform: np.ndarray) -> np.ndarray:
    """Pixels (GRID, GRID) of a scene given by its transform on the fine grid."""
    return fft.irfft2(sampled(transform), s=(GRID, GRID))


def smoothed(noise_transform: np.ndarray, variance: float) -> np.ndarray:
    """Pixels of a noise field after a Gaussian kernel of the given variance in square pixels."""
    return fft.irfft2(noise_transform * np.exp(-0.5 * variance * NATIVE_K2), s=(GRID, GRID))


def surviving_variance(variance: float) -> float:
    """Share of white noise's variance that is left after the kernel of `smoothed`."""
    waves = 2 * np.pi * fft.fftfreq(GRID)
    return float(np.mean(np.exp(-variance * waves**2)) ** 2)


def effective_area(fwhm: float) -> float:
    """Noise-equivalent area 1 / sum(P^2) in pixels of a point source centred on a pixel."""
    return float(1 / np.sum(image(point_spread(fwhm) * phase(0, 0)) ** 2))
