"""Columns of an alert that follow from the detections of its source so far.

Source: BTSbot 2.0.7 (arXiv 2401.15167), metadata definitions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

DERIVED = ("age", "days_since_peak", "days_to_peak", "peakmag_so_far", "maxmag_so_far", "nnotdet")


def derive_history(catalogue: pd.DataFrame, earlier: pd.DataFrame | None = None) -> pd.DataFrame:
    """Derive the history columns of every alert, over its source's detections up to and including itself.

    Parameters
    ----------
    catalogue : DataFrame
        Columns objectId, jd (days), magpsf (mag), jdstarthist (days), ndethist, ncovhist; one row per alert.
    earlier : DataFrame, optional
        Further detections, objectId, jd and magpsf, that count but are no alerts of the catalogue (an alert's own
        detection may be among them).

    Returns
    -------
    DataFrame
        Columns `DERIVED`, index of `catalogue`: age = jd - jd_first with jd_first = min(jdstarthist, first detection);
        days_since_peak = jd - jd(brightest so far); days_to_peak = jd(brightest so far) - jd_first; peakmag_so_far and
        maxmag_so_far, brightest and faintest magnitude so far; nnotdet = ncovhist - ndethist.
    """
    own = catalogue[["objectId", "jd", "magpsf"]]
    # Extra detections come first among equal times, so that an alert's own detection is never ahead of it.
    every = own if earlier is None else pd.concat([earlier[["objectId", "jd", "magpsf"]], own])
    peak_so_far, faintest, first_jd, peak_jd = _running(every)[:, len(every) - len(own) :]
    jd = own["jd"].to_numpy(float)
    # A packet without jdstarthist counts from its first known detection.
    start = np.fmin(first_jd, catalogue["jdstarthist"].to_numpy(float))
    nnotdet = catalogue["ncovhist"].to_numpy(float) - catalogue["ndethist"].to_numpy(float)
    values = (jd - start, jd - peak_jd, peak_jd - start, peak_so_far, faintest, nnotdet)
    return pd.DataFrame(dict(zip(DERIVED, values, strict=True)), index=catalogue.index)


def _running(detections: pd.DataFrame) -> np.ndarray:
    """Brightest and faintest magnitude so far, first time, time of the brightest so far; (4, n) in the given order."""
    codes = pd.factorize(detections["objectId"])[0]
    order = np.lexsort((detections["jd"].to_numpy(float), codes))
    codes, table = codes[order], detections.iloc[order].reset_index(drop=True)
    groups = table.groupby(codes, sort=False)
    brightest = groups["magpsf"].cummin()
    # The first time at which the running minimum was reached; it holds until the next one.
    fresh = brightest != brightest.groupby(codes, sort=False).shift()
    peak_jd = table["jd"].where(fresh).groupby(codes, sort=False).ffill()
    running = np.stack([brightest, groups["magpsf"].cummax(), groups["jd"].transform("first"), peak_jd]).astype(float)
    given = np.empty_like(running)
    given[:, order] = running
    return given
