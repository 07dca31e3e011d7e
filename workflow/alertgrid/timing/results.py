"""How is timing.csv read? A job times one network beside the custom CNN; only what one job measured is compared.

A row belongs to the network that its job is about, or to the custom CNN beside it, and says so by the job's name:
`{architecture}-{inputs}` of that network.
"""

from __future__ import annotations

import pandas as pd

SETTING = ["job", "device", "precision", "mode", "batch"]
NETWORK = ["architecture", "inputs"]


def is_subject(timing: pd.DataFrame) -> pd.Series:
    """Whether a row is of the network that its job is about."""
    return timing["job"] == timing["architecture"] + "-" + timing["inputs"]


def one_measurement(timing: pd.DataFrame) -> pd.DataFrame:
    """Rows of each network from one job alone: its own, or the first of those that it was measured in as custom CNN."""
    subject = is_subject(timing)
    others = timing[~subject]
    known = timing.loc[subject, NETWORK].drop_duplicates()
    others = others.merge(known, how="left", on=NETWORK, indicator=True).set_index(others.index)
    others = others[others["_merge"] == "left_only"]
    first = others.groupby(NETWORK)["job"].transform("first") if len(others) else others["job"]
    kept = others.index[others["job"] == first]
    return timing[subject | timing.index.isin(kept)]


def beside_custom(timing: pd.DataFrame) -> pd.DataFrame:
    """Rows of the networks that jobs are about, with those of the custom CNN of the same job as `{column}_custom`.

    Rows that were measured for both alone; the custom CNN itself has none.
    """
    subject, measured = is_subject(timing), timing["latency_ms"].notna()
    custom = timing[~subject & measured]
    return timing[subject & measured].merge(custom, on=SETTING, suffixes=("", "_custom"))
