"""A source as the survey reports it: which visits raise an alert, what each alert holds.

A source is observed in every visit of its window that could see it; a visit whose difference reaches 5 sigma makes an
alert. Sources are drawn again, from the same generator, until they fit their source set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alertgrid.columns import MISSING, SOURCE_SETS, STAMP_SIZE
from alertgrid.errors import StudyError
from alertgrid.sources.simulation import defects, imaging, optics, photometry
from alertgrid.sources.simulation.events import Event, draw_event, template_end
from alertgrid.sources.simulation.naming import alert_number, object_name
from alertgrid.sources.simulation.scene import counterpart_columns
from alertgrid.sources.simulation.settings import Settings
from alertgrid.sources.simulation.survey import area_of

ALERT_THRESHOLD = 5.0
HISTORY_THRESHOLD = 3.0  # ZTF counts earlier detections down to 3 sigma
ATTEMPTS = 300
_HALF = STAMP_SIZE // 2
# ASSUME: braai's score (Duev et al. 2019, MNRAS 489, 3582) on a logit scale: for real sources it rises with signal to
# noise and is lower for negative differences; for artefacts it is low but widely scattered.
REAL_SCORE = (3.0, 0.3, 1.8)  # at zero signal to noise, per unit of it, scatter
NEGATIVE_SCORE = (2.0, 0.15, 2.5)
BOGUS_SCORE = {"dipole": (-1.5, 3.0), "saturated": (-1.5, 3.0), "cosmic_ray": (-4.0, 3.0), "edge": (-1.0, 3.0)}


@dataclass(frozen=True)
class Observed:
    """The alerts of one source in time order.

    history: jd, magpsf, jdstarthist, ndethist, ncovhist of all m alerts, arrays (m,); kept: which of them have their
    cutouts here, bool (m,); rows: all other columns of the k kept ones, lists (k,); cutouts: (k, 3, 63, 63) in DN, NaN
    where masked, the difference positive at the source whatever its sign.
    """

    object_id: str
    source_set: str
    history: dict[str, np.ndarray]
    kept: np.ndarray
    rows: dict[str, list]
    cutouts: np.ndarray


def observe_source(settings: Settings, source_set: str, index: int) -> Observed:
    """Draw and observe one source; the same for any number of other sources.

    Raises
    ------
    StudyError
        When no source of the set can be made under these settings.
    """
    rng = np.random.default_rng([settings.seed, SOURCE_SETS.index(source_set), index])
    for _ in range(ATTEMPTS):
        event = draw_event(settings, rng, source_set)
        if not _promising(settings, event, source_set):
            continue
        log = _watch(settings, rng, event)
        if log.images and _fits(settings, source_set, log.magpsf.min()):
            return _packed(event, log, source_set, index)
    raise StudyError(
        f"simulation.{source_set}",
        f"no source of this set was detected in {ATTEMPTS} attempts",
        "settings under which such sources can be seen",
        "look at depth, bright_peak, clear_fraction and survey_days",
    )


def _fits(settings: Settings, source_set: str, peak: float) -> bool:
    """Whether a source's brightest detection agrees with its set (label 1: at or above the bright peak)."""
    if source_set == "trues":
        return peak <= settings.bright_peak
    return source_set != "dims" or peak > settings.bright_peak


def _expected_snr(settings: Settings, event: Event) -> np.ndarray:
    """Signal to noise (n visits,) of the event's light, its own photon noise included, negative when it dims."""
    visit = event.visits
    flux = event.flux * 10 ** (0.4 * (visit.zero_point - settings.zero_point))
    return flux / np.sqrt(visit.sigma**2 * area_of(visit.fwhm) + np.abs(flux) / settings.gain)


def _promising(settings: Settings, event: Event, source_set: str) -> bool:
    """Cheap test before anything is drawn: can this source be seen, and as what it should be?"""
    if event.artefact:
        return True
    seen = event.window & (np.abs(_expected_snr(settings, event)) > ALERT_THRESHOLD - 1)
    if not seen.any():
        return False
    brightest = np.abs(event.flux[seen]).max()
    return _fits(settings, source_set, settings.zero_point - 2.5 * np.log10(brightest))


@dataclass
class _Log:
    """What happened at an event: at each visit (n,) whether it was detected and its magnitude, NaN without an alert;
    row and cutouts of the alerts that are kept; how often the place was covered per visit."""

    detected: np.ndarray
    magpsf: np.ndarray
    images: dict[int, tuple[dict, np.ndarray]]
    overlap: float

    def add(self, visit: int, alert: tuple[dict, np.ndarray] | None, most: int) -> None:
        """Count what a visit's images showed; keep them unless `most` alerts are kept already."""
        if alert is not None:
            self.magpsf[visit] = alert[0]["magpsf"]
            if len(self.images) < most:
                self.images[visit] = alert


def _watch(settings: Settings, rng: np.random.Generator, event: Event) -> _Log:
    """Observe an event in all visits and keep images of at most `alerts_per_source` alerts, chosen at random.

    Alerts beyond those are needed for the history alone: their magnitudes come from the noise model without pixels.
    That model knows no artefacts, so all their visits are imaged: a network would know them by a short history.
    """
    expected = _expected_snr(settings, event)
    snr = expected + rng.standard_normal(len(event.visits))
    # ASSUME: noise and residuals leave a false 3-sigma detection in one visit of four thousand, more at unlucky places.
    false = rng.random(len(snr)) < 0.00025 * np.exp(rng.normal(0, 1.5))
    detected = (np.abs(snr) >= HISTORY_THRESHOLD) & (np.abs(expected) > HISTORY_THRESHOLD / 2) | false
    detected[: template_end(settings, event.visits)] = False
    # ASSUME: neighbouring fields and other programmes cover the place as well.
    log = _Log(detected, np.full(len(snr), np.inf), {}, rng.uniform(1.2, 3.5))
    hopeful = event.window & ((np.abs(snr) > ALERT_THRESHOLD - 1.5) | bool(event.artefact))
    imager = _Imager(settings, rng, event)
    for visit in rng.permutation(np.flatnonzero(hopeful)):
        if event.artefact or len(log.images) < settings.alerts_per_source:
            log.add(int(visit), imager.alert(int(visit)), settings.alerts_per_source)
        elif abs(snr[visit]) >= ALERT_THRESHOLD:
            log.magpsf[visit] = _magnitude(settings, event, visit, snr[visit] / expected[visit])
    log.detected |= np.isfinite(log.magpsf)
    return log


def _magnitude(settings: Settings, event: Event, visit: int, factor: float) -> float:
    """Magnitude of an event at a visit when noise has changed its flux by a factor."""
    return float(settings.zero_point - 2.5 * np.log10(abs(event.flux[visit] * factor)))


class _Imager:
    """Images and measures visits to one event; what does not change between visits is made once.

    Parameters
    ----------
    settings : Settings
    rng : Generator
    event : Event
    """

    def __init__(self, settings: Settings, rng: np.random.Generator, event: Event):
        self.settings, self.rng, self.event = settings, rng, event
        light = event.scene.transforms(settings.zero_point)
        self.references = {band: imaging.reference(settings, rng, light[band]) for band in (1, 2)}
        self.artefact = defects.ARTEFACTS.get(event.artefact)
        self.shapes: dict[tuple[int, int], dict[str, float]] = {}

    def alert(self, visit: int) -> tuple[dict, np.ndarray] | None:
        """Row and cutouts (3, 63, 63) of one visit, or None when nothing reaches the threshold."""
        event, visits = self.event, self.event.visits
        exposure = self._expose(visit)
        row, column = photometry.locate(exposure) if self.artefact else (optics.CENTRE, optics.CENTRE)
        detection = photometry.measure(exposure, row, column, visits.fwhm[visit])
        if detection is None or detection.scorr < ALERT_THRESHOLD:
            return None
        place = (event.x + column - optics.CENTRE, event.y + row - optics.CENTRE)
        return self._row(visit, detection, place), _cutouts(exposure, row, column, detection)

    def _expose(self, visit: int) -> imaging.Exposure:
        """The visit's images, with whatever went wrong."""
        event, visits = self.event, self.event.visits
        conditions = {name: getattr(visits, name)[visit] for name in ("fwhm", "sky", "zero_point", "sigma")}
        flaws = imaging.drawn_flaws(self.settings, self.rng, self.artefact.misfit if self.artefact else 1.0)
        source = (event.x, event.y, event.flux[visit])
        exposure = imaging.expose(
            self.settings, self.rng, self.references[visits.fid[visit]], conditions, source, flaws
        )
        if self.artefact:
            self.artefact.damage(self.rng, exposure)
        defects.add_masks(self.rng, exposure)
        return exposure

    def _row(self, visit: int, detection: photometry.Detection, place: tuple[float, float]) -> dict:
        """Everything one alert says apart from its history."""
        event, visits, rng = self.event, self.event.visits, self.rng
        zero_point = visits.zero_point[visit] + rng.normal(0, photometry.ZERO_POINT_ERROR)
        # ASSUME: a position is as good as the seeing over the signal to noise, and never better than 0.15 pixels.
        blur = float(np.hypot(0.15, 0.3 * visits.fwhm[visit] / detection.scorr))
        relative = detection.error / abs(detection.flux)
        return {
            "fid": int(visits.fid[visit]),
            "magzpsci": float(zero_point),
            "isdiffpos": "t" if detection.positive else "f",
            "magpsf": float(zero_point - 2.5 * np.log10(abs(detection.flux))),
            "sigmapsf": float(np.hypot(2.5 / np.log(10) * relative, photometry.ZERO_POINT_ERROR)),
            "chipsf": detection.chipsf,
            "scorr": detection.scorr,
            "sky": detection.sky,
            "fwhm": detection.fwhm,
            "diffmaglim": float(visits.limit[visit]),
            "ra": event.ra,
            "dec": event.dec,
            "new_drb": _real_bogus(rng, event.artefact, detection),
            "object_type": event.object_type,
            "seeing": float(visits.fwhm[visit]),
            **counterpart_columns(rng, event.scene, *place, blur),
            **self._template_shape(int(visits.fid[visit]), place),
        }

    def _template_shape(self, band: int, place: tuple[float, float]) -> dict[str, float]:
        """chinr and sharpnr of the catalogue's nearest object as the template shows it."""
        near = self.event.scene.neighbours(*place)
        if len(near) == 0:
            return {"chinr": MISSING, "sharpnr": MISSING}
        key = (band, int(near[0]))
        if key not in self.shapes:
            x, y = self.event.scene.x[near[0]], self.event.scene.y[near[0]]
            self.shapes[key] = photometry.template_source(self.rng, self.references[band], x, y)
        return self.shapes[key]


def _cutouts(exposure: imaging.Exposure, row: int, column: int, detection: photometry.Detection) -> np.ndarray:
    """Science, template and difference about a pixel; negative differences are stored inverted, as ZTF does."""
    sign = 1.0 if detection.positive else -1.0
    planes = (exposure.science, exposure.template, sign * exposure.difference)
    return np.stack([photometry.cut(plane, row, column, _HALF) for plane in planes]).astype(np.float32)


def _real_bogus(rng: np.random.Generator, artefact: str, detection: photometry.Detection) -> float:
    """A plausible deep-learning real-bogus score, 0 to 1."""
    start, slope, scatter = REAL_SCORE if detection.positive else NEGATIVE_SCORE
    mean, scatter = BOGUS_SCORE.get(artefact, (start + slope * min(detection.scorr, 20.0), scatter))
    return float(1 / (1 + np.exp(-rng.normal(mean, scatter))))


def _packed(event: Event, log: _Log, source_set: str, index: int) -> Observed:
    """Name the alerts and count the history of each."""
    ordinal = SOURCE_SETS.index(source_set) + len(SOURCE_SETS) * index
    alerts = np.flatnonzero(np.isfinite(log.magpsf))
    jd = event.visits.jd
    first = jd[np.argmax(log.detected)]
    history = {
        "jd": jd[alerts],
        "magpsf": log.magpsf[alerts],
        "jdstarthist": np.full(len(alerts), first),
        "ndethist": np.cumsum(log.detected)[alerts],
        "ncovhist": ((alerts + 1) * log.overlap).astype(np.int64),
    }
    visits = sorted(log.images)
    rows = {name: [log.images[visit][0][name] for visit in visits] for name in log.images[visits[0]][0]}
    rows["candid"] = [alert_number(ordinal, jd[visit]) for visit in visits]
    cutouts = np.stack([log.images[visit][1] for visit in visits])
    name = object_name(ordinal, first)
    return Observed(name, source_set, history, np.isin(alerts, visits), rows, cutouts)
