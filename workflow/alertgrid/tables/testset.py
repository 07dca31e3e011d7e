"""What every run is judged on: the validation and test alerts of the catalogue, prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from ..columns import BANDS, SOURCE_SETS
from ..errors import StudyError
from ..external import external_scores
from ..policies import Timeline, timeline

Families = dict[str, tuple[np.ndarray, list[str]]]


class Incomplete(Exception):
    """Predictions that cannot be judged; the message says why."""


@dataclass
class Part:
    """Alerts of one split.

    Attributes
    ----------
    candid : (n,) int64
    label : (n,) bool
    source : (n,) int
        Number of the source, in the sorted order of objectId.
    families : mapping
        Strata as `metrics.stratified` takes them.
    counts : mapping of stratum to (alerts, sources, positive alerts)
    timeline : Timeline
        For the policies; its sources have the same numbers.
    """

    candid: np.ndarray
    label: np.ndarray
    source: np.ndarray
    families: Families
    counts: dict[str, tuple[int, int, int]]
    timeline: Timeline
    _sorted: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, rows: pd.DataFrame, magnitude_edges: Sequence[float]) -> Part:
        """Prepare the rows of one split."""
        label = rows["label"].to_numpy() > 0
        source = pd.factorize(rows["objectId"], sort=True)[0]
        families = strata(rows, magnitude_edges)
        counts = count_strata(families, source, label)
        candid = rows["candid"].to_numpy(np.int64)
        return cls(candid, label, source, families, counts, timeline(rows), np.argsort(candid))

    def align(self, candid: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Scores in the order of this split's rows.

        Raises
        ------
        Incomplete
            An alert has no score, or one that is not a number.
        """
        if not np.array_equal(candid, self.candid):
            order = np.argsort(candid)
            place = np.searchsorted(candid[order], self.candid)
            place[place == len(candid)] = 0
            found = candid[order][place] == self.candid if len(candid) else np.zeros(len(self.candid), bool)
            if not found.all():
                absent = int((~found).sum())
                raise Incomplete(f"no score for {absent} of {len(found)} alerts, first candid {self.candid[~found][0]}")
            score = score[order][place]
        if not np.isfinite(score).all():
            raise Incomplete(f"{int((~np.isfinite(score)).sum())} scores are not numbers")
        return score


def count_strata(families: Families, source: np.ndarray, label: np.ndarray) -> dict[str, tuple[int, int, int]]:
    """Alerts, sources and positive alerts of every stratum."""
    counts = {}
    for codes, names in families.values():
        for position, name in enumerate(names):
            member = codes == position
            counts[name] = (int(member.sum()), len(np.unique(source[member])), int(label[member].sum()))
    return counts


def strata(rows: pd.DataFrame, magnitude_edges: Sequence[float]) -> Families:
    """Strata of alerts: all, bands, source sets, magnitude bins."""
    n = len(rows)
    bands = [number for number in BANDS if (rows["fid"] == number).any()]
    present = set(rows["source_set"]) - {""}
    sets = [name for name in SOURCE_SETS if name in present] + sorted(present - set(SOURCE_SETS))
    edges = np.asarray(magnitude_edges, float)
    bins = np.searchsorted(edges, rows["magpsf"].to_numpy(float), side="right") - 1
    bins[(bins == len(edges) - 1) | rows["magpsf"].isna().to_numpy()] = -1
    names = [f"mag={low:.2f}-{high:.2f}" for low, high in pairwise(edges)]
    return {
        "all": (np.zeros(n, int), ["all"]),
        "band": (_codes(rows["fid"], bands), [f"band={BANDS[number]}" for number in bands]),
        "set": (_codes(rows["source_set"], sets), [f"set={name}" for name in sets]),
        "mag": (bins, names),
    }


def _codes(column: pd.Series, values: Sequence) -> np.ndarray:
    """Position of each entry in `values`, -1 where it is not among them."""
    return pd.Categorical(column, categories=values).codes.astype(int)


@dataclass
class TestSet:
    """Validation and test rows of a study, with the external entrants' scores of the test rows."""

    __test__ = False  # the name is the field's; pytest must not collect it

    val: Part
    test: Part
    external: dict[str, np.ndarray]
    external_val: dict[str, np.ndarray]

    @property
    def classes(self) -> np.ndarray:
        """Label of each test source, (m,) bool."""
        return self.test.timeline.label


def build_testset(catalogue: pd.DataFrame, magnitude_edges: Sequence[float], external: Sequence[str]) -> TestSet:
    """Prepare the validation and test rows of a catalogue.

    Raises
    ------
    StudyError
        There is no test alert, or an external entrant has no column of numbers in the catalogue.
    """
    rows = {split: catalogue[catalogue["split"] == split].reset_index(drop=True) for split in ("val", "test")}
    if rows["test"].empty:
        raise StudyError("catalogue", "no test alert", "alerts of split test", "look at the splits of this study")
    scores = {split: external_scores(part, external) for split, part in rows.items()}
    parts = {split: Part.of(part, magnitude_edges) for split, part in rows.items()}
    return TestSet(parts["val"], parts["test"], scores["test"], scores["val"])
