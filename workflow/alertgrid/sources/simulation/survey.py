"""When the survey looks, and through what air: nights, visits, noise.

All sources share the nights' weather; each field has its own season and visit times. The noise of a pixel follows from
sky and read noise, and the depth of a median visit is what the settings ask for.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from alertgrid.columns import PIXEL_SCALE
from alertgrid.errors import StudyError
from alertgrid.sources.simulation.optics import effective_area
from alertgrid.sources.simulation.settings import Settings

FIRST_JD = 2458194.5  # 17 March 2018, when ZTF's public survey began
_WEATHER_STREAM = 1_000_003  # apart from the streams of the source sets, which are small numbers
SYNODIC_MONTH = 29.53
YEAR = 365.25
SEASON = 122  # days on either side. ASSUME: a field is up for two thirds of the year.
LOST = 1 / 7  # ASSUME: one visit in seven is lost to the queue or to quality control.
FEWEST_VISITS = 20  # to a field on average: some for its template, some for the light curves of its sources


@dataclass(frozen=True)
class Visits:
    """All visits to one field in time order; every attribute is an array (n,).

    jd in days; fid 1 = g, 2 = r; fwhm in pixels; sky in DN per pixel; zero_point in mag; sigma, the background noise of
    a science pixel, in DN; limit, the 5-sigma magnitude of the difference image.
    """

    jd: np.ndarray
    fid: np.ndarray
    fwhm: np.ndarray
    sky: np.ndarray
    zero_point: np.ndarray
    sigma: np.ndarray
    limit: np.ndarray

    def __len__(self) -> int:
        return len(self.jd)


@dataclass(frozen=True)
class Nights:
    """Weather of every night: clear (bool), seeing in arcsec, brightening of the sky and extinction in mag."""

    clear: np.ndarray
    seeing: np.ndarray
    moonlight: np.ndarray
    extinction: np.ndarray


@functools.lru_cache(maxsize=4)
def nights(settings: Settings) -> Nights:
    """The weather of the whole survey; the same for all sources of one seed."""
    rng = np.random.default_rng([settings.seed, _WEATHER_STREAM])
    days = np.arange(settings.survey_days)
    weather = _correlated(rng, len(days), 0.6)
    # ASSUME: moonlight adds up to 1.5 mag to the sky at full Moon and next to nothing in the dark half of the month.
    moonlight = 1.5 * np.maximum(np.cos(2 * np.pi * days / SYNODIC_MONTH), 0) ** 2
    seeing = settings.seeing * np.exp(settings.seeing_scatter * _correlated(rng, len(days), 0.5))
    return Nights(
        clear=weather < np.quantile(weather, settings.clear_fraction),
        seeing=np.maximum(seeing, 1.0),
        moonlight=moonlight - np.mean(moonlight),
        extinction=np.minimum(rng.exponential(0.08, len(days)), 1.0),
    )


def _correlated(rng: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """Standard normal numbers, each correlated with the one before: bad weather comes in spells."""
    values = rng.standard_normal(count)
    for index in range(1, count):
        values[index] = memory * values[index - 1] + np.sqrt(1 - memory**2) * values[index]
    return values


def check_visits(settings: Settings) -> None:
    """Refuse a sky that the survey hardly looks at.

    Raises
    ------
    StudyError
        A field has fewer than `FEWEST_VISITS` visits on average.
    """
    share = settings.clear_fraction * 2 * SEASON / YEAR * (1 - LOST)
    expected = 2 * share * settings.survey_days / max(settings.cadence, 1.0)
    if expected < FEWEST_VISITS:
        raise StudyError(
            "simulation.survey_days",
            f"{expected:.1f} visits to a field on average",
            f"at least {FEWEST_VISITS}, for its template and its alerts",
            "lengthen survey_days, shorten cadence or raise clear_fraction",
        )


def visits(settings: Settings, rng: np.random.Generator) -> Visits:
    """Visits to one field: g and r in the same night, every `cadence` days, in its season, when it is clear."""
    weather = nights(settings)
    days = np.arange(settings.survey_days)
    due = np.diff(np.floor((days + rng.uniform(0, settings.cadence)) / settings.cadence), prepend=-1) > 0
    in_season = np.abs((days - rng.uniform(0, YEAR) + 182.6) % YEAR - 182.6) < SEASON
    days = np.flatnonzero(due & in_season & weather.clear)
    hour = rng.uniform(0.6, 0.9, len(days))
    night = np.concatenate([days, days])
    fid = np.repeat([1, 2], len(days))
    jd = FIRST_JD + night + np.concatenate([hour, hour + rng.uniform(0.02, 0.08, len(days))])
    order = np.argsort(jd)[rng.random(len(jd)) > LOST]
    return _with_conditions(settings, rng, jd[order], fid[order], night[order])


def _with_conditions(settings: Settings, rng: np.random.Generator, jd, fid, night) -> Visits:
    """Seeing, sky, zero point and depth of each visit: the night's value with a small scatter of its own."""
    weather = nights(settings)
    count = len(jd)
    fwhm = weather.seeing[night] * np.exp(rng.normal(0, 0.05, count)) / PIXEL_SCALE
    zero_point = settings.zero_point - weather.extinction[night] + rng.normal(0, 0.02, count)
    brightness = settings.sky_brightness - weather.moonlight[night] + rng.normal(0, 0.1, count)
    # ASSUME: the sky is a quarter of a magnitude darker in g than the setting says and as much brighter in r.
    sky = sky_level(settings, brightness + np.where(fid == 1, 0.25, -0.25), zero_point)
    sigma = pixel_noise(settings, sky) * noise_excess(settings)
    limit = _limit(settings, zero_point, sigma, fwhm)
    return Visits(jd, fid, fwhm, sky, zero_point, sigma, limit)


def sky_level(settings: Settings, brightness, zero_point) -> np.ndarray:
    """Sky in DN per pixel from its surface brightness in mag per square arcsec."""
    return 10 ** (0.4 * (zero_point - brightness)) * PIXEL_SCALE**2


def pixel_noise(settings: Settings, sky) -> np.ndarray:
    """Photon and read noise of a background pixel in DN."""
    return np.sqrt(sky / settings.gain + (settings.read_noise / settings.gain) ** 2)


@functools.lru_cache(maxsize=4)
def noise_excess(settings: Settings) -> float:
    """Factor by which a pixel's noise exceeds photon and read noise, so that a median visit has the depth asked for.

    ASSUME: real difference images are shallower than photon noise alone allows (flat fields, resampling, correlated
    noise: about a magnitude at ZTF); all that is one factor on white noise.
    """
    weather = nights(settings)
    zero_point = settings.zero_point - weather.extinction[weather.clear]
    sky = sky_level(settings, settings.sky_brightness - weather.moonlight[weather.clear], zero_point)
    fwhm = weather.seeing[weather.clear] / PIXEL_SCALE
    limit = np.median(_limit(settings, zero_point, pixel_noise(settings, sky), fwhm))
    excess = 10 ** (0.4 * (limit - settings.depth))
    if excess < 1:
        raise StudyError(
            "simulation.depth",
            f"{settings.depth} mag is deeper than photon noise allows",
            f"at most {limit:.2f} mag with this sky, seeing, gain and zero point",
            "lower the depth, or darken the sky (sky_brightness) or improve the seeing",
        )
    return float(excess)


def _limit(settings: Settings, zero_point, sigma, fwhm) -> np.ndarray:
    """5-sigma magnitude of a point source in the difference; the template adds a little to the science noise."""
    template_share = np.sqrt(1 + 1 / settings.template_visits)
    return zero_point - 2.5 * np.log10(5 * sigma * np.sqrt(area_of(fwhm)) * template_share)


@functools.lru_cache(maxsize=1)
def _area_table() -> tuple[np.ndarray, np.ndarray]:
    widths = np.linspace(0.5, 12, 60)
    return widths, np.array([effective_area(width) for width in widths])


def area_of(fwhm) -> np.ndarray:
    """Noise-equivalent area in pixels of a point source of the given FWHM in pixels (interpolated)."""
    return np.interp(fwhm, *_area_table())
