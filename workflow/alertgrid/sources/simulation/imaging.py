"""One visit to a scene: science image, matched template and their difference, with the noise of each.

The template is made once per source and band. It is matched to the visit's seeing with a PSF slightly too wide or
narrow and placed slightly beside, which leaves in the difference what real subtraction leaves around bright objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from alertgrid.columns import PIXEL_SCALE
from alertgrid.sources.simulation import optics
from alertgrid.sources.simulation.settings import Settings
from alertgrid.sources.simulation.survey import noise_excess, pixel_noise, sky_level

SATURATION = 40_000.0  # DN; ASSUME: pixels above it are masked


@dataclass(frozen=True)
class Reference:
    """The template of one band.

    light: transform of the scene, DN at the settings' zero point; pixels (GRID, GRID) in the same unit, NaN where
    saturated; noise: transform of its noise alone on the pixel grid; sigma: noise of a background pixel, DN; psf:
    transform of its point spread, of width `fwhm` pixels.
    """

    light: np.ndarray
    pixels: np.ndarray
    noise: np.ndarray
    sigma: float
    psf: np.ndarray
    fwhm: float


@dataclass
class Exposure:
    """One visit in DN of that visit; all arrays (GRID, GRID), NaN where masked.

    `psf` is the pipeline's point spread at the source's place, of unit flux; `variance` is the difference's;
    `background` the noise of an empty pixel of the difference.
    """

    science: np.ndarray
    template: np.ndarray
    difference: np.ndarray
    variance: np.ndarray
    psf: np.ndarray
    background: float


@dataclass(frozen=True)
class Flaws:
    """How badly the template fits: offsets in pixels, relative errors of PSF width and flux."""

    dx: float
    dy: float
    width: float
    flux: float


def reference(settings: Settings, rng: np.random.Generator, light: np.ndarray) -> Reference:
    """The template of a scene: `template_visits` co-added median visits in better seeing."""
    fwhm = settings.template_seeing / PIXEL_SCALE
    psf = optics.point_spread(fwhm)
    signal = optics.image(light * psf)
    sky = sky_level(settings, settings.sky_brightness, settings.zero_point)
    sigma = float(pixel_noise(settings, sky) * noise_excess(settings) / np.sqrt(settings.template_visits))
    photons = np.maximum(signal, 0) / settings.gain / settings.template_visits
    noise = rng.standard_normal(signal.shape) * np.sqrt(sigma**2 + photons)
    pixels = np.where(signal > SATURATION, np.nan, signal + sky + noise)
    return Reference(light, pixels, fft.rfft2(noise), sigma, psf, fwhm)


def drawn_flaws(settings: Settings, rng: np.random.Generator, misfit: float = 1.0) -> Flaws:
    """Errors of one subtraction; `misfit` makes them that many times worse.

    ASSUME: fluxes are matched to 0.4 per cent.
    """
    dx, dy = rng.normal(0, settings.registration * misfit, 2)
    return Flaws(dx, dy, rng.normal(0, settings.matching_error * misfit), rng.normal(0, 0.004))


def expose(
    settings: Settings,
    rng: np.random.Generator,
    ref: Reference,
    visit: dict[str, float],
    source: tuple[float, float, float],
    flaws: Flaws,
) -> Exposure:
    """Observe a scene once.

    Parameters
    ----------
    ref : Reference
        Template of the visit's band.
    visit : mapping
        fwhm (pixels), sky (DN per pixel), zero_point (mag), sigma (DN).
    source : (x, y, flux)
        Pixels from the grid's centre pixel; DN over the template at the settings' zero point.
    """
    scale = 10 ** (0.4 * (visit["zero_point"] - settings.zero_point))
    x, y, flux = source
    place = optics.phase(x, y)
    seeing = optics.point_spread(visit["fwhm"])
    model = optics.point_spread(visit["fwhm"] * (1 + flaws.width))
    signal = optics.image((ref.light + flux * place) * seeing) * scale
    matched, kernel_share = _matched(ref, visit["fwhm"], model, flaws)
    photons = np.maximum(signal, 0) / settings.gain
    variance = visit["sigma"] ** 2 + photons
    science = signal + rng.standard_normal(signal.shape) * np.sqrt(variance)
    template_variance = (scale * ref.sigma) ** 2 * kernel_share
    return _masked(
        Exposure(
            science=science + visit["sky"],
            template=ref.pixels.copy(),
            difference=science - scale * matched,
            variance=variance + template_variance,
            psf=optics.image(place * model),
            background=float(np.sqrt(visit["sigma"] ** 2 + template_variance)),
        ),
        signal,
    )


def _matched(ref: Reference, fwhm: float, model: np.ndarray, flaws: Flaws) -> tuple[np.ndarray, float]:
    """Template brought to the visit's seeing, and the share of its noise variance that survives the smoothing.

    ASSUME: where the visit's seeing is the better one, the template's noise stays as it is.
    """
    extra = max(fwhm**2 - ref.fwhm**2, 0.0) / optics.GAUSSIAN_FWHM
    smooth = optics.smoothed(ref.noise, extra)
    light = optics.image(ref.light * model * optics.shift(flaws.dx, flaws.dy)) * (1 + flaws.flux)
    return light + smooth, optics.surviving_variance(extra)


def _masked(exposure: Exposure, signal: np.ndarray) -> Exposure:
    """Mask saturated pixels of science and difference, and of the difference where the template lacks them."""
    exposure.science[signal > SATURATION] = np.nan
    exposure.difference[np.isnan(exposure.science) | np.isnan(exposure.template)] = np.nan
    return exposure
