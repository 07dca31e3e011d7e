"""A source as the survey reports it: which visits raise an alert, what each alert holds.

A source is observed in every visit of its window that could see it; a visit whose difference reaches 5 sigma makes an
alert. Sources are drawn again, from the same generator, until they fit their source set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alertgrid.columns import SOURCE_SETS, STAMP_SIZE
from alertgrid.errors import StudyError
from alertgrid.sources.simulation import defects, imaging, optics, photometry
from alertgrid.sources.simulation.events import Event, draw_event
from alertgrid.sources.simulation.naming import alert_number, object_name
from alertgrid.sources.simulation.scene import counterpart_columns
from alertgrid.sources.simulation.settings import Settings
from alertgrid.sources.simulation.survey import area_of

ALERT_THRESHOLD = 5.0
HISTORY_THRESHOLD = 3.0  # ZTF counts earlier detections down to 3 sigma
ATTEMPTS = 300
_HALF = STAMP_SIZE // 2
# ASSUME: braai's score (Duev et al. 2019, MNRAS 489, 3582) on a logit scale: for real sources it rises with signal to
# noise, for artefacts it is low but widely scattered.
REAL_SCORE = (3.0, 0.3, 1.8)  # at zero signal to noise, per unit of it, scatter
BOGUS_SCORE = {"dipole": (-1.5, 3.0), "saturated": (-1.5, 3.0), "cosmic_ray": (-4.0, 3.0), "edge": (-1.0, 3.0)}


@dataclass(frozen=True)
class Observed:
    """The alerts of one source in time order: m detections, of which those marked `kept` have their cutouts here.

    rows: column name -> array or list (m,); kept: bool (m,); cutouts: (kept.sum(), 3, 63, 63) in DN, NaN where masked,
    difference positive at the source whatever its sign.
    """

    rows: dict[str, list]
    kept: np.ndarray
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
        alerts = _alerts(settings, rng, event)
        if alerts and _fits(settings, source_set, min(row["magpsf"] for row, _ in alerts)):
            return _packed(settings, rng, alerts, source_set, index)
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


def _alerts(settings: Settings, rng: np.random.Generator, event: Event) -> list[tuple[dict, np.ndarray]]:
    """Rows and cutouts of all alerts of an event, in time order."""
    snr = _expected_snr(settings, event) + rng.standard_normal(len(event.visits))
    # ASSUME: residuals leave a false 3-sigma detection in one visit of a thousand, more at unlucky places.
    false = rng.random(len(snr)) < 0.001 * np.exp(rng.normal(0, 1))
    detected = (snr >= HISTORY_THRESHOLD) | (snr <= -HISTORY_THRESHOLD) | false
    hopeful = event.window & ((np.abs(snr) > ALERT_THRESHOLD - 2.5) | bool(event.artefact))
    light = event.scene.transforms(settings.zero_point)
    references = {band: imaging.reference(settings, rng, light[band]) for band in (1, 2)}
    overlap = rng.uniform(1.2, 3.5)  # ASSUME: neighbouring fields and other programmes cover the place as well
    found = []
    for visit in np.flatnonzero(hopeful):
        alert = _alert(settings, rng, event, references[int(event.visits.fid[visit])], visit)
        detected[visit] = detected[visit] or alert is not None
        if alert is not None:
            past = np.flatnonzero(detected[: visit + 1])
            alert[0]["jdstarthist"] = float(event.visits.jd[past[0]])
            alert[0]["ndethist"] = len(past)
            alert[0]["ncovhist"] = int((visit + 1) * overlap)
            found.append(alert)
    return found


def _alert(settings: Settings, rng: np.random.Generator, event: Event, ref: imaging.Reference, visit: int):
    """Row and cutouts (3, 63, 63) of one visit, or None when nothing reaches the threshold."""
    conditions = {name: getattr(event.visits, name)[visit] for name in ("fwhm", "sky", "zero_point", "sigma")}
    artefact = defects.ARTEFACTS.get(event.artefact)
    flaws = imaging.drawn_flaws(settings, rng, artefact.misfit if artefact else 1.0)
    source = (event.x, event.y, event.flux[visit])
    exposure = imaging.expose(settings, rng, ref, conditions, source, flaws)
    if artefact:
        artefact.damage(rng, exposure)
    defects.add_masks(rng, exposure)
    row, column = photometry.locate(exposure) if artefact else (optics.CENTRE, optics.CENTRE)
    detection = photometry.measure(exposure, row, column, conditions["fwhm"])
    if detection is None or detection.scorr < ALERT_THRESHOLD:
        return None
    place = (event.x + column - optics.CENTRE, event.y + row - optics.CENTRE)
    return _row(settings, rng, event, ref, visit, detection, place), _cutouts(exposure, row, column, detection)


def _cutouts(exposure: imaging.Exposure, row: int, column: int, detection: photometry.Detection) -> np.ndarray:
    """Science, template and difference about a pixel; negative differences are stored inverted, as ZTF does."""
    sign = 1.0 if detection.positive else -1.0
    planes = (exposure.science, exposure.template, sign * exposure.difference)
    return np.stack([photometry.cut(plane, row, column, _HALF) for plane in planes]).astype(np.float32)


def _row(settings, rng, event: Event, ref, visit: int, detection, place: tuple[float, float]) -> dict:
    """Everything one alert says apart from its history."""
    visits = event.visits
    zero_point = visits.zero_point[visit] + rng.normal(0, photometry.ZERO_POINT_ERROR)
    # ASSUME: a position is as good as the seeing over the signal to noise, and never better than 0.05 pixels.
    blur = float(np.hypot(0.05, 0.6 * visits.fwhm[visit] / detection.scorr / 2))
    near = event.scene.neighbours(*place)
    shape = photometry.template_source(ref, event.scene.x[near[0]], event.scene.y[near[0]]) if len(near) else {}
    return {
        "jd": float(visits.jd[visit]),
        "fid": int(visits.fid[visit]),
        "isdiffpos": "t" if detection.positive else "f",
        "magpsf": float(zero_point - 2.5 * np.log10(abs(detection.flux))),
        "sigmapsf": float(np.hypot(1.0857 * detection.error / abs(detection.flux), photometry.ZERO_POINT_ERROR)),
        "chipsf": detection.chipsf,
        "scorr": detection.scorr,
        "sky": detection.sky,
        "fwhm": detection.fwhm,
        "diffmaglim": float(visits.limit[visit]),
        "ra": event.ra,
        "dec": event.dec,
        "new_drb": _real_bogus(rng, event, detection.scorr),
        **counterpart_columns(rng, event.scene, *place, blur),
        "chinr": shape.get("chinr", -999.0),
        "sharpnr": shape.get("sharpnr", -999.0),
        "object_type": event.object_type,
        "seeing": float(visits.fwhm[visit]),
    }


def _real_bogus(rng: np.random.Generator, event: Event, snr: float) -> float:
    """A plausible deep-learning real-bogus score, 0 to 1."""
    start, slope, scatter = REAL_SCORE
    mean, scatter = BOGUS_SCORE.get(event.artefact, (start + slope * min(snr, 20.0), scatter))
    return float(1 / (1 + np.exp(-rng.normal(mean, scatter))))


def _packed(settings: Settings, rng: np.random.Generator, alerts: list, source_set: str, index: int) -> Observed:
    """Name the alerts, choose which to keep and stack their cutouts."""
    ordinal = SOURCE_SETS.index(source_set) + len(SOURCE_SETS) * index
    rows = {name: [row[name] for row, _ in alerts] for name in alerts[0][0]}
    rows["objectId"] = [object_name(ordinal, rows["jdstarthist"][0])] * len(alerts)
    rows["candid"] = [alert_number(ordinal, jd) for jd in rows["jd"]]
    rows["source_set"] = [source_set] * len(alerts)
    rows["label"] = [int(source_set == "trues")] * len(alerts)
    kept = np.zeros(len(alerts), dtype=bool)
    kept[rng.permutation(len(alerts))[: settings.alerts_per_source]] = True
    cutouts = np.stack([cutout for (_, cutout), keep in zip(alerts, kept, strict=True) if keep])
    return Observed(rows, kept, cutouts)
