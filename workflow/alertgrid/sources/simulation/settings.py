"""What may be chosen about the simulated sky, and within which bounds.

The defaults are the Zwicky Transient Facility's (ZTF: Bellm et al. 2019, PASP 131, 018002; Masci et al. 2019, PASP 131,
018003), as far as a 63-pixel stamp can tell.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from alertgrid.errors import StudyError


def _setting(default: float | bool, low: float, high: float, meaning: str):
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """Every choice of the simulation; each field states its bounds and meaning in its metadata."""

    seed: int = _setting(0, 0, 2**32 - 1, "root of all random numbers")
    trues: int = _setting(120, 0, 10**7, "bright supernovae, peak at or above `bright_peak`: label 1")
    dims: int = _setting(80, 0, 10**7, "supernovae that stay fainter than `bright_peak`")
    vars: int = _setting(120, 0, 10**7, "active nuclei, variable stars and cataclysmic variables")
    rejects: int = _setting(250, 0, 10**7, "asteroids and bogus detections")
    alerts_per_source: int = _setting(10, 1, 1000, "most alerts kept of one source (a random choice of them)")
    bright_peak: float = _setting(18.5, 15.0, 20.0, "peak magnitude that divides trues from dims")
    depth: float = _setting(20.5, 17.0, 23.0, "5-sigma limit of a median visit's difference image, mag")
    zero_point: float = _setting(26.2, 22.0, 30.0, "magnitude of 1 DN per exposure")
    gain: float = _setting(6.2, 0.1, 100.0, "electrons per DN")
    read_noise: float = _setting(10.0, 0.0, 100.0, "electrons per pixel")
    sky_brightness: float = _setting(20.5, 15.0, 23.0, "median sky, mag per square arcsec")
    seeing: float = _setting(2.1, 1.0, 6.0, "median FWHM, arcsec")
    seeing_scatter: float = _setting(0.18, 0.0, 0.6, "night-to-night scatter of ln(FWHM)")
    template_seeing: float = _setting(1.8, 1.0, 6.0, "FWHM of the template, arcsec")
    template_visits: int = _setting(30, 2, 1000, "visits co-added to the template")
    registration: float = _setting(0.06, 0.0, 1.0, "scatter of science against template position per axis, pixels")
    matching_error: float = _setting(0.02, 0.0, 0.3, "relative error of the matched PSF's width")
    cadence: float = _setting(2.5, 0.5, 30.0, "days between visits to a field while it is visible")
    clear_fraction: float = _setting(0.7, 0.1, 1.0, "share of clear nights")
    # Later days do not fit into an alert number of 64 bits.
    survey_days: int = _setting(1500, 500, 8700, "length of the survey, days")
    # ASSUME: unlike BTSbot's training set this sky has negative differences (of variables) unless asked otherwise.
    apply_cuts: bool = _setting(False, 0, 1, "take only alerts that pass BTSbot's cuts (see `sources.cuts`)")
    chunk_alerts: int = _setting(500, 1, 1000, "alerts after which a chunk is handed on")

    @property
    def sources(self) -> dict[str, int]:
        """Number of sources of each source set."""
        return {name: getattr(self, name) for name in ("trues", "dims", "vars", "rejects")}


def checked_settings(**settings) -> Settings:
    """Settings with every value in its bounds.

    Raises
    ------
    StudyError
        For an unknown key, a wrong type or a value out of bounds; `where` names the key.
    """
    known = {entry.name: entry for entry in dataclasses.fields(Settings)}
    for name, value in settings.items():
        if name not in known:
            raise _refusal(name, "unknown setting", f"one of {', '.join(known)}")
        _check(known[name], value)
    return Settings(**settings)


def _check(entry: dataclasses.Field, value: object) -> None:
    """Refuse a value of the wrong type or out of bounds."""
    if isinstance(entry.default, bool):
        if not isinstance(value, bool):
            raise _refusal(entry.name, f"{value!r} is not allowed", f"true or false: {entry.metadata['meaning']}")
        return
    low, high = entry.metadata["low"], entry.metadata["high"]
    whole = isinstance(entry.default, int)
    kind = int if whole else (int, float)
    inside = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    if not inside:
        expected = f"{'an integer' if whole else 'a number'} from {low} to {high}: {entry.metadata['meaning']}"
        raise _refusal(entry.name, f"{value!r} is not allowed", expected)


def _refusal(name: str, problem: str, expected: str) -> StudyError:
    return StudyError(f"simulation.{name}", problem, expected, "correct this key of the study's data settings")
