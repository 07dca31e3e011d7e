"""Many differences in one table: which of them are more than chance, and which could have been seen at all?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .comparison import detectable


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values adjusted for their number (Holm 1979); NaN stay NaN and do not count.

    Returns
    -------
    (n,) float in [0, 1]
    """
    p = np.asarray(p, float)
    result = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    steps = p[order] * np.arange(len(order), 0, -1)
    result[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return result


def corrected(table: pd.DataFrame, level: float, power: float) -> pd.DataFrame:
    """A table of differences with `p_holm` and `detectable_holm`, over all rows of one metric.

    Parameters
    ----------
    table : DataFrame
        Columns metric, p, se and df.
    level : float
        A difference is told from zero where `p_holm` is below 1 - level.
    power : float

    Returns
    -------
    DataFrame
        The table with both columns set. `detectable_holm` is the smallest true difference found with this power at the
        first step of Holm's correction, which divides 1 - level by the number of rows: wherever the other rows stand,
        a difference that passes there is told from zero. A row without p (one seed: how much seeds matter is not
        known) is no test: it counts nowhere and has neither.
    """
    groups = table.groupby("metric")["p"]
    counts = groups.transform("count")
    rows = zip(table["p"], table["se"], table["df"], counts, strict=True)
    found = [detectable(se, df, 1 - (1 - level) / n, power) if np.isfinite(p) else np.nan for p, se, df, n in rows]
    return table.assign(p_holm=groups.transform(lambda p: holm(p.to_numpy())), detectable_holm=found)
