"""What is a run, before anything is built? Its data, its rows, its recipe, and the hash that identifies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .data import Data
from .finished import fingerprint, resolved
from .recipe import Recipe
from .selection import Selection, select
from .spec import RunSpec, Sources


def select_rows(catalogue: pd.DataFrame, spec: RunSpec, recipe: Recipe) -> Selection:
    """Rows and labels of a run."""
    return select(
        catalogue,
        fraction=spec.fraction,
        draw=spec.draw,
        n_max=recipe.max_alerts_per_source,
        labels=spec.labels,
        seed=spec.seed,
    )


class Plan:
    """What a run is, before anything is built."""

    def __init__(
        self, data: Data, spec: RunSpec, recipe: Recipe, models: Mapping[str, Any], sources: Sources, after_epoch=None
    ):
        self.after_epoch = after_epoch
        self.data, self.spec, self.recipe, self.models, self.sources = data, spec, recipe, dict(models), sources
        self.selection = select_rows(data.catalogue, spec, recipe)
        self.resolved = resolved(spec.architecture, models)
        self.hashes = {**data.hashes, **sources.hashes()}

    def fingerprint(self) -> str:
        """What this run is, in one hash."""
        return fingerprint(self.spec, self.recipe, self.models, self.hashes)
