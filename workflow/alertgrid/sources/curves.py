"""Detections of many objects in little memory, while the packets of a folder are gone through."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
import pandas as pd


class LightCurves:
    """Detections of many objects, each kept once however many packets repeat it."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.rows = array("d")

    def add(self, name: str, detections: Iterable[tuple[float, float]]) -> None:
        """Add times (jd) and magnitudes of an object."""
        code = self.codes.setdefault(name, len(self.codes))
        for jd, magnitude in detections:
            self.rows.extend((code, jd, magnitude))

    def compact(self) -> None:
        """Drop repeated detections."""
        self.rows = array("d", np.unique(np.array(self.rows).reshape(-1, 3), axis=0).tobytes())

    def table(self) -> pd.DataFrame:
        """All detections: objectId, jd, magpsf."""
        self.compact()
        code, jd, magnitude = np.array(self.rows).reshape(-1, 3).T
        names = np.array(list(self.codes), object)[code.astype(int)]
        return pd.DataFrame({"objectId": names, "jd": jd, "magpsf": magnitude})
