"""What happens in the sky: one function per nature of source, from a random generator to a scene and a light curve.

`KINDS` lists them with the source set each belongs to (sets as in BTSbot, arXiv 2401.15167) and its share of that set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alertgrid.sources.simulation import lightcurves
from alertgrid.sources.simulation.scene import Scene, add_galaxy, add_star, drawn_magnitude, fill_field, star_density
from alertgrid.sources.simulation.settings import Settings
from alertgrid.sources.simulation.survey import Visits, visits

WINDOW_DAYS = 90.0  # alerts of a long-lived source are taken from one window of this length


@dataclass
class Event:
    """One source before it is observed.

    Attributes
    ----------
    object_type : str
        What it is.
    scene : Scene
        All static light; the source lies at the scene's origin but for (x, y).
    visits : Visits
        Every visit to the field.
    ra, dec : float
        Degrees.
    x, y : float
        Place of the source inside the central pixel, -0.5 to 0.5.
    flux : ndarray (n visits,)
        Light over the template's in DN at the settings' zero point; negative when fainter.
    window : ndarray (n visits,), bool
        Visits that may raise an alert.
    artefact : str
        Key of `defects.ARTEFACTS` for a bogus detection, else empty.
    """

    object_type: str
    scene: Scene
    visits: Visits
    ra: float
    dec: float
    x: float
    y: float
    flux: np.ndarray
    window: np.ndarray
    artefact: str = ""


@dataclass(frozen=True)
class Kind:
    """A nature of source: name, source set, share of the set, function that draws one."""

    name: str
    source_set: str
    share: float
    draw: Callable[[Settings, np.random.Generator], Event | None]


def _blank(settings: Settings, rng: np.random.Generator, name: str, galactic: bool, artefact: str = "") -> Event:
    """An event without light of its own in a field of stars and galaxies; `galactic` sources follow the stars."""
    while True:
        # ASSUME: the survey sees the sky north of -25 degrees, evenly.
        ra, dec = rng.uniform(0, 360), float(np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(-25)), 1))))
        density = star_density(ra, dec)
        # ASSUME: dust hides galaxies and what happens in them where stars are densest.
        if rng.random() < (density / 70 if galactic else min(12 / density, 1)):
            break
    scene = Scene()
    fill_field(rng, scene, density)
    field_visits = _visits_to_a_field(settings, rng)
    count = len(field_visits)
    x, y = rng.uniform(-0.5, 0.5, 2)
    dark = np.zeros(count)
    return Event(name, scene, field_visits, ra, dec, x, y, dark, np.zeros(count, dtype=bool), artefact)


def _to_flux(settings: Settings, magnitude: np.ndarray) -> np.ndarray:
    """DN at the settings' zero point."""
    return 10 ** (0.4 * (settings.zero_point - magnitude))


def _visits_to_a_field(settings: Settings, rng: np.random.Generator) -> Visits:
    """Visits to a field that has a template in both bands; others raise no alerts, so another field is drawn."""
    while True:
        field = visits(settings, rng)
        if len(set(field.fid[: template_end(settings, field)])) == 2:
            return field


def template_end(settings: Settings, field: Visits) -> int:
    """Index of the first visit after those that made the template (both bands)."""
    return min(2 * settings.template_visits, len(field) // 2)


def _epoch(settings: Settings, rng: np.random.Generator, event: Event) -> int:
    """Visit at which something begins.

    ASSUME: early parts of the survey are looked at more often, so that half of all sources, of whatever nature, have
    less than a quarter of the survey as their history; the visits that made the template come before any alert.
    """
    start = template_end(settings, event.visits)
    return start + int((len(event.visits) - start) * rng.random() ** 2)


def _supernova(settings: Settings, rng: np.random.Generator, bright: float, faint: float, slope: float) -> Event:
    """A supernova at its host, peak magnitude between two limits."""
    event = _blank(settings, rng, "", galactic=False)
    peak = drawn_magnitude(rng, bright, faint, slope)
    jd = event.visits.jd
    day = jd - jd[_epoch(settings, rng, event)] - rng.uniform(-10, 20)
    event.object_type, magnitude = lightcurves.supernova(rng, day, event.visits.fid, peak)
    event.flux = _to_flux(settings, magnitude)
    event.window = np.isfinite(magnitude)
    _add_host(rng, event, peak)
    return event


def _add_host(rng: np.random.Generator, event: Event, peak: float) -> None:
    """Put a host galaxy under a supernova, at a distance that follows the light.

    ASSUME: hosts are 0.9 mag brighter than the peak on average, with 1.5 mag of scatter: one in twenty is hardly seen.
    Distances follow an exponential disk; one supernova in six lies at the nucleus.
    """
    r = float(np.clip(peak - 0.9 + rng.normal(0, 1.5), 12.5, 24.0))
    slot = len(event.scene.x)
    shape = add_galaxy(rng, event.scene, 0.0, 0.0, r)
    distance = rng.uniform(0, 0.2) if rng.random() < 1 / 6 else min(rng.gamma(2.0, shape.radius / 1.678), 14.0)
    along = rng.uniform(0, 2 * np.pi)
    major, minor = distance * np.cos(along), distance * np.sin(along) * max(shape.axis_ratio, 0.3)
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    event.scene.x[slot] = event.x + major * cos - minor * sin
    event.scene.y[slot] = event.y + major * sin + minor * cos


def draw_true(settings: Settings, rng: np.random.Generator) -> Event:
    """A supernova that reaches the bright limit. ASSUME: Euclidean counts, 0.6 dex per mag."""
    return _supernova(settings, rng, settings.bright_peak - 3.5, settings.bright_peak, 0.6)


def draw_dim(settings: Settings, rng: np.random.Generator) -> Event:
    """A supernova that stays fainter.

    ASSUME: spectra, without which nobody knows a supernova, are taken of fewer and fewer as they grow faint; half of
    the dims of BTSbot's kind peak within 0.5 mag of the limit, so that dims and trues look alike away from the peak.
    """
    return _supernova(settings, rng, settings.bright_peak, max(settings.depth - 0.3, settings.bright_peak + 0.3), -0.45)


def draw_agn(settings: Settings, rng: np.random.Generator) -> Event:
    """An active nucleus: a damped random walk at the centre of a galaxy, which may outshine it.

    ASSUME: nuclei from 16 to 20.3 mag; seven in ten sit in a galaxy catalogued as such, of about their magnitude.
    """
    event = _blank(settings, rng, "AGN", galactic=False)
    r = drawn_magnitude(rng, 16.0, 20.3, 0.35)
    sigma, tau = 0.22 * np.exp(rng.normal(0, 0.35)), np.exp(rng.normal(np.log(200), 0.6))
    walk = lightcurves.damped_random_walk(rng, event.visits.jd, sigma, tau)
    colour = rng.normal(0.2, 0.15)
    slot = len(event.scene.x)
    if rng.random() < 0.7:
        add_galaxy(rng, event.scene, event.x, event.y, r - rng.normal(0.5, 0.9))
        _vary(settings, rng, event, r + walk, colour, listed=False)
    else:
        _vary(settings, rng, event, r + walk, colour, listed=True)
        event.scene.score[slot] = float(np.clip(rng.beta(4, 1), 0, 1))
    return event


def draw_variable_star(settings: Settings, rng: np.random.Generator) -> Event:
    """A periodic star. ASSUME: from 13.5 to 20 mag, counts growing by 0.15 dex per mag."""
    event = _blank(settings, rng, "variable star", galactic=True)
    change = lightcurves.periodic(rng, event.visits.jd, event.visits.fid)
    _vary(settings, rng, event, drawn_magnitude(rng, 13.5, 20.0, 0.15) + change, rng.uniform(0.1, 1.4), listed=True)
    return event


def draw_cataclysmic(settings: Settings, rng: np.random.Generator) -> Event:
    """A dwarf nova: faint and blue, some magnitudes brighter in outburst. ASSUME: 18 to 22.8 mag in quiescence."""
    event = _blank(settings, rng, "cataclysmic variable", galactic=rng.random() < 0.4)
    burst = lightcurves.outbursts(rng, event.visits.jd)
    _vary(settings, rng, event, drawn_magnitude(rng, 18.0, 22.8, 0.2) - burst, rng.normal(0.1, 0.15), listed=True)
    return event


def _vary(settings: Settings, rng: np.random.Generator, event: Event, r: np.ndarray, colour: float, listed: bool):
    """Give an event a point source of magnitude r(t); its mean over the template's visits becomes static light."""
    fid = event.visits.fid
    flux = _to_flux(settings, r + np.where(fid == 1, colour, 0.0))
    end = template_end(settings, event.visits)
    means = {band: flux[:end][fid[:end] == band].mean() for band in (1, 2)}
    event.flux = flux - np.where(fid == 1, means[1], means[2])
    g, r_mean = (settings.zero_point - 2.5 * np.log10(means[band]) for band in (1, 2))
    slot = len(event.scene.x)
    add_star(rng, event.scene, event.x, event.y, r_mean, g - r_mean)
    event.scene.listed[slot] &= listed
    elapsed = event.visits.jd - event.visits.jd[_epoch(settings, rng, event)]
    event.window = (elapsed >= 0) & (elapsed < WINDOW_DAYS)


def _at_one_visit(settings: Settings, rng: np.random.Generator, event: Event) -> int:
    """Open the window at a single visit and return it."""
    visit = _epoch(settings, rng, event)
    event.window[visit] = True
    return visit


def _now_and_then(settings: Settings, rng: np.random.Generator, event: Event) -> None:
    """Open the window at several visits within one season, as artefacts at one place recur."""
    first = _at_one_visit(settings, rng, event)
    last = np.searchsorted(event.visits.jd, event.visits.jd[first] + WINDOW_DAYS)
    event.window[rng.integers(first, last, rng.geometric(0.25) - 1)] = True


def draw_asteroid(settings: Settings, rng: np.random.Generator) -> Event:
    """A moving object: there for a visit, nothing of it in the template.

    ASSUME: from 15 mag to below the limit, 0.35 dex per mag; one in three is slow enough to be met again that night.
    """
    event = _blank(settings, rng, "asteroid", galactic=False)
    visit = _at_one_visit(settings, rng, event)
    r = drawn_magnitude(rng, 15.0, settings.depth + 0.3, 0.35)
    night = np.abs(event.visits.jd - event.visits.jd[visit]) < 0.5
    event.window |= night & (rng.random() < 1 / 3)
    event.flux[event.window] = _to_flux(settings, r + np.where(event.visits.fid == 1, 0.5, 0.0))[event.window]
    return event


def draw_dipole(settings: Settings, rng: np.random.Generator) -> Event:
    """A star or a galaxy's core that is badly aligned now and then. ASSUME: 13.2 to 18 mag; half are galaxies."""
    event = _blank(settings, rng, "dipole", galactic=rng.random() < 0.5, artefact="dipole")
    r = drawn_magnitude(rng, 13.2, 18.0, 0.05)
    (add_star if rng.random() < 0.5 else add_galaxy)(rng, event.scene, event.x, event.y, r)
    _now_and_then(settings, rng, event)
    return event


def draw_saturated(settings: Settings, rng: np.random.Generator) -> Event:
    """A star too bright for the detector, whose remains in the difference are taken for a source."""
    event = _blank(settings, rng, "saturated star", galactic=rng.random() < 0.5, artefact="saturated")
    add_star(rng, event.scene, event.x, event.y, rng.uniform(10.5, 12.8))
    _now_and_then(settings, rng, event)
    return event


def draw_cosmic_ray(settings: Settings, rng: np.random.Generator) -> Event:
    """Charge in a few pixels of one exposure."""
    event = _blank(settings, rng, "cosmic ray", galactic=False, artefact="cosmic_ray")
    _at_one_visit(settings, rng, event)
    return event


def draw_edge(settings: Settings, rng: np.random.Generator) -> Event:
    """A false source by the border of the detector."""
    event = _blank(settings, rng, "detector edge", galactic=False, artefact="edge")
    _at_one_visit(settings, rng, event)
    return event


# ASSUME: shares within vars and rejects; half of the rejects are asteroids, as among real ones that pass first cuts.
KINDS = (
    Kind("supernova", "trues", 1.0, draw_true),
    Kind("supernova", "dims", 1.0, draw_dim),
    Kind("agn", "vars", 0.35, draw_agn),
    Kind("variable_star", "vars", 0.40, draw_variable_star),
    Kind("cataclysmic", "vars", 0.25, draw_cataclysmic),
    Kind("asteroid", "rejects", 0.50, draw_asteroid),
    Kind("dipole", "rejects", 0.20, draw_dipole),
    Kind("saturated", "rejects", 0.10, draw_saturated),
    Kind("cosmic_ray", "rejects", 0.10, draw_cosmic_ray),
    Kind("edge", "rejects", 0.10, draw_edge),
)


def draw_event(settings: Settings, rng: np.random.Generator, source_set: str) -> Event:
    """One source of a source set, its nature chosen by share."""
    kinds = [kind for kind in KINDS if kind.source_set == source_set]
    return kinds[rng.choice(len(kinds), p=[kind.share for kind in kinds])].draw(settings, rng)
