"""BTSbot's cuts: which alerts its training set holds at all. One place for all readers.

Source: BTSbot 2.0.7 (arXiv 2401.15167): positive differences in g or r with a star/galaxy score of a neighbour; of the
faint transients (dims) only those whose source never was a bright one.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ..columns import METADATA_COLUMNS
from . import Chunk, Refusal

BRIGHT_PEAK = 18.5  # mag
CUT_COLUMNS = ("isdiffpos", "fid", "sgscore1", "sgscore2")


def cut_reasons(alerts: pd.DataFrame) -> pd.Series:
    """Why the cuts remove each alert, "" where they do not.

    Parameters
    ----------
    alerts : DataFrame (n rows)
        isdiffpos ("t" or "f"), fid (1 g, 2 r, 3 i), sgscore1 and sgscore2 (0 to 1, -999 where there is no neighbour),
        source_set, peakmag (brightest magnitude of the source in all its detections; NaN where unknown).
    """
    reasons = pd.Series("", index=alerts.index, dtype=object)
    faint = (alerts["source_set"] == "dims") & (alerts["peakmag"] <= BRIGHT_PEAK)
    cuts = (
        (alerts["isdiffpos"] != "t", "isdiffpos = " + alerts["isdiffpos"].astype(str)),
        (~alerts["fid"].isin([1, 2]), "fid = " + alerts["fid"].map("{:g}".format).astype(str)),
        ((alerts["sgscore1"] < 0) & (alerts["sgscore2"] < 0), "no star/galaxy score (sgscore1 and sgscore2 below 0)"),
        (faint, f"labelled as dim, but its source peaks at {BRIGHT_PEAK} mag or brighter"),
    )
    for removed, reason in cuts:
        reasons = reasons.mask(removed & (reasons == ""), "BTSbot cut: " + reason)
    return reasons


def cut_chunk(chunk: Chunk, peakmag: pd.Series) -> Chunk:
    """A chunk without the alerts that the cuts remove; these join its refused ones.

    Parameters
    ----------
    chunk : Chunk
        Its alerts have no place in a file, so the list of refused ones names them by candid and source alone.
    peakmag : Series (n,)
        As for `cut_reasons`, in the order of the chunk.
    """
    scores = {name: chunk.metadata[:, METADATA_COLUMNS.index(name)] for name in ("sgscore1", "sgscore2")}
    reasons = cut_reasons(chunk.catalogue.assign(peakmag=peakmag, **scores))
    kept = (reasons == "").to_numpy()
    gone = chunk.catalogue[~kept]
    refused = [
        Refusal("", -1, str(candid), name, reason)
        for candid, name, reason in zip(gone["candid"], gone["objectId"], reasons[~kept], strict=True)
    ]
    return replace(
        chunk,
        catalogue=chunk.catalogue[kept].reset_index(drop=True),
        metadata=chunk.metadata[kept],
        stamps=chunk.stamps[kept],
        refused=[*chunk.refused, *refused],
    )
