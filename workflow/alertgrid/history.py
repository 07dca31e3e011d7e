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
    alerts = catalogue[["objectId", "jd", "magpsf"]].assign(row=np.arange(len(catalogue)))
    others = [] if earlier is None else [earlier[["objectId", "jd", "magpsf"]].assign(row=-1)]
    # Extra detections come first among equal times, so that an alert's own detection is never ahead of it.
    every = pd.concat([*others, alerts], ignore_index=True).sort_values(["objectId", "jd"], kind="stable")
    groups = every.groupby("objectId", sort=False)
    every["peakmag_so_far"] = groups["magpsf"].cummin()
    every["maxmag_so_far"] = groups["magpsf"].cummax()
    every["first"] = groups["jd"].transform("first")
    # The first time at which the running minimum was reached.
    reached = every["jd"].where(every["magpsf"] == every["peakmag_so_far"])
    fresh = every["peakmag_so_far"] != groups["peakmag_so_far"].shift()
    every["peak_jd"] = reached.where(fresh).groupby(every["objectId"], sort=False).ffill()
    own = every[every["row"] >= 0].sort_values("row")
    jd, first = own["jd"].to_numpy(), np.minimum(own["first"].to_numpy(), catalogue["jdstarthist"].to_numpy(float))
    values = (
        jd - first,
        jd - own["peak_jd"].to_numpy(),
        own["peak_jd"].to_numpy() - first,
        own["peakmag_so_far"].to_numpy(),
        own["maxmag_so_far"].to_numpy(),
        catalogue["ncovhist"].to_numpy(float) - catalogue["ndethist"].to_numpy(float),
    )
    return pd.DataFrame(dict(zip(DERIVED, values, strict=True)), index=catalogue.index)
