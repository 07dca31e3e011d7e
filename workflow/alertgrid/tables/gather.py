"""The study as a table of groups: every cell and fraction with its axes, and the tables that compare them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..comparison import Group, Interval, contrast
from ..multiplicity import corrected
from ..multiplier import Multiplier, data_multiplier
from ..scales import scale_of
from ..settings.words import named_size
from .evaluate import CellResult

AXES = ("architecture", "pretraining", "inputs", "stamps", "labels")
EXTERNAL = {"architecture": "external", "pretraining": "none", "inputs": "", "stamps": "", "labels": "given"}


@dataclass
class Study:
    """What has been judged.

    Attributes
    ----------
    cells : DataFrame
        Index cell; columns `AXES`.
    results : mapping of (cell, fraction) to CellResult
        Those with at least one usable run.
    sizes : mapping of (cell, fraction) to (training sources, training alerts)
        Means over runs; NaN where no record says.
    level, power : float
        Coverage of intervals, power of the smallest detectable difference.
    """

    cells: pd.DataFrame
    results: dict[tuple[str, float], CellResult]
    sizes: dict[tuple[str, float], tuple[float, float]]
    level: float = 0.95
    power: float = 0.8

    def group(self, cell: str, fraction: float, metric: str) -> Group | None:
        """The group of a cell, or None where nothing was measured."""
        result = self.results.get((cell, fraction))
        found = result.groups.get(metric) if result else None
        return found if found is not None and len(found.values) else None

    def fractions(self, cell: str) -> list[float]:
        """Fractions of a cell with results, rising."""
        return sorted(fraction for name, fraction in self.results if name == cell)

    def axes(self, cell: str) -> dict[str, str]:
        """The axes of a cell."""
        return {axis: self.cells.at[cell, axis] for axis in AXES}

    def find(self, **axes: str) -> list[str]:
        """Cells with these values of the axes."""
        keep = np.ones(len(self.cells), bool)
        for axis, value in axes.items():
            keep &= (self.cells[axis] == value).to_numpy()
        return list(self.cells.index[keep])


def cells_of(grid: pd.DataFrame, external: Sequence[str]) -> pd.DataFrame:
    """Axes of every cell of the grid and of the external entrants."""
    own = grid.drop_duplicates("cell").set_index("cell")[list(AXES)].astype(str)
    others = pd.DataFrame([EXTERNAL] * len(external), index=pd.Index(external, name="cell"), columns=list(AXES))
    return pd.concat([own, others])


def performance(study: Study) -> pd.DataFrame:
    """performance.csv: every metric of every cell and fraction on the test split."""
    rows = []
    for (cell, fraction), result in study.results.items():
        for metric, member in result.groups.items():
            found = contrast([(1.0, member)], study.level, scale_of(metric))
            key = {"cell": cell, **study.axes(cell), "fraction": fraction, "metric": metric}
            ends = {"estimate": found.estimate, "low": found.low, "high": found.high, "level": study.level}
            ends |= {"se": found.se, "df": found.df}
            sizes = {"n_seeds": found.n_seeds, "n_sources": result.n_sources, "n_alerts": result.n_alerts}
            rows.append({**key, **ends, "method": found.method, **sizes})
    return pd.DataFrame(rows)


def efficiency(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """efficiency.csv: performance against the number of training sources; permuted and external cells left out."""
    kept = table[(table["labels"] == "given") & (table["architecture"] != "external")]
    sizes = [study.sizes.get(key, (np.nan, np.nan)) for key in zip(kept["cell"], kept["fraction"], strict=True)]
    columns = {name: [size[i] for size in sizes] for i, name in enumerate(("n_train_sources", "n_train_alerts"))}
    return kept.assign(**columns)


def pairs(study: Study, baseline: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, cell, reference) of every comparison the report makes, permuted controls left out."""
    for cell in study.cells.index[study.cells["labels"] == "given"]:
        axes = study.axes(cell)
        wanted = list(_references(axes, study, baseline))
        yield from ((kind, cell, reference) for kind, reference in wanted if reference != cell)


def _references(axes: dict[str, str], study: Study, baseline: str) -> Iterator[tuple[str, str]]:
    """What one cell is compared with, by kind."""
    if axes["architecture"] == "external":
        standard = {"architecture": baseline, "pretraining": "none", "stamps": "all", "labels": "given"}
        yield from (("external", name) for name in study.find(**standard))
        return
    same = dict(axes)
    if axes["architecture"] != baseline:
        yield from (
            ("baseline", name) for name in study.find(**{**same, "architecture": baseline, "pretraining": "none"})
        )
    if axes["pretraining"] != "none":
        del same["pretraining"]
        # Against no pre-training, and once per pair of pre-trainings (the later in the alphabet is the reference).
        for name in study.find(**same):
            other = study.cells.at[name, "pretraining"]
            if other == "none" or other > axes["pretraining"]:
                yield "pretraining", name
    plain, side = named_size(axes["architecture"])
    if side:
        yield from (("size", name) for name in study.find(**{**axes, "architecture": plain}))
    if axes["stamps"] != "all":
        yield from (("stamps", name) for name in study.find(**{**axes, "stamps": "all"}))
    if axes["inputs"] in ("fusion", "joint"):
        yield from (("inputs", name) for name in study.find(**{**axes, "inputs": "image"}))
        yield from (("inputs", name) for name in study.find(inputs="metadata", labels="given"))


def differences(study: Study, baseline: str, metrics: Sequence[str]) -> pd.DataFrame:
    """differences.csv: paired differences cell - reference, Holm's correction over all rows of one metric."""
    rows = []
    for kind, cell, reference in pairs(study, baseline):
        for fraction in study.fractions(cell):
            for metric in metrics:
                found = difference(study, (cell, reference), fraction, metric)
                if found is not None:
                    rows.append(_difference_row(study, (kind, cell, reference), fraction, metric, found))
    table = pd.DataFrame(rows)
    return corrected(table, study.level, study.power) if len(table) else table


def difference(study: Study, cells: tuple[str, str], fraction: float, metric: str) -> Interval | None:
    """Interval of a difference of two cells at one fraction, or None where one of them is missing."""
    first, second = (study.group(cell, fraction, metric) for cell in cells)
    if first is None or second is None:
        return None
    if len({study.results[cell, fraction].n_alerts for cell in cells}) > 1:
        return None  # an external entrant without all scores was judged on other alerts
    return contrast([(1.0, first), (-1.0, second)], study.level, power=study.power)


def _difference_row(study: Study, names: tuple[str, str, str], fraction: float, metric: str, found: Interval) -> dict:
    """One row of differences.csv."""
    key = dict(zip(("kind", "cell", "reference"), names, strict=True)) | {"fraction": fraction, "metric": metric}
    ends = {"difference": found.estimate, "low": found.low, "high": found.high, "level": study.level}
    tests = {"p": found.p, "detectable": found.detectable, "se": found.se, "df": found.df}
    n_sources = study.results[names[1], fraction].n_sources
    return {**key, **ends, **tests, "n_seeds": found.n_seeds, "n_sources": n_sources, "method": found.method}


def multipliers(study: Study, metrics: Sequence[str]) -> pd.DataFrame:
    """multiplier.csv: for every pre-trained cell, how many times fewer sources match the untrained one's full set."""
    rows = []
    for kind, cell, reference in pairs(study, ""):
        if kind != "pretraining" or study.cells.at[reference, "pretraining"] != "none":
            continue
        for metric in metrics:
            found = _multiplier(study, cell, reference, metric)
            if found is not None:
                n_sources = study.results[cell, max(study.fractions(cell))].n_sources
                key = {"cell": cell, "reference": reference, "metric": metric}
                rows.append({**key, **vars(found), "n_sources": n_sources})
    return pd.DataFrame(rows)


def _multiplier(study: Study, cell: str, reference: str, metric: str) -> Multiplier | None:
    """The data multiplier of one pair, or None where it cannot be measured."""
    points = [(fraction, study.group(cell, fraction, metric)) for fraction in study.fractions(cell)]
    points = [(study.sizes.get((cell, fraction), (np.nan,))[0], member) for fraction, member in points if member]
    points = sorted((point for point in points if np.isfinite(point[0])), key=lambda point: point[0])
    largest = max(study.fractions(reference), default=np.nan)
    full = study.sizes.get((reference, largest), (np.nan,))[0]
    target = study.group(reference, largest, metric)
    if not points or target is None or not np.isfinite(full):
        return None
    sources, curve = zip(*points, strict=True)
    return data_multiplier(sources, curve, full, target, study.level)
