"""How many alerts does a study have, and how many images a corpus? Counted where there are files, else as asked for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..columns import SPLITS
from ..dataset import read_catalogue
from ..errors import StudyError
from ..settings.study import expand_path


def count_alerts(settings: Mapping[str, Any], folder: Path, given: int | None = None) -> dict[str, int]:
    """Alerts in train, val and test: counted where there is a catalogue, else from the number given or simulated.

    Raises
    ------
    StudyError
        Nobody knows how many alerts there are.
    """
    catalogue = folder / "catalogue.h5"
    if catalogue.exists():
        counts = read_catalogue(catalogue, only={"split"})["split"].value_counts()
        return {split: int(counts.get(split, 0)) for split in SPLITS}
    if given is None:
        given = settings.get("budget", {}).get("alerts")
    if given is None and settings["data"]["source"] == "simulation":
        given = _simulated(settings["data"])
    if given is None:
        raise StudyError(
            str(catalogue),
            "there is none yet, so the number of alerts is not known",
            "a catalogue, or a number",
            f"plan --alerts NUMBER, or budget.alerts in config.yaml, or make it first: snakemake {catalogue}",
        )
    shares = zip(SPLITS, settings["splits"]["shares"], strict=True)
    return {split: round(given * share) for split, share in shares}


def _simulated(data: Mapping[str, Any]) -> int:
    """Most alerts of a simulation, the simulator's own numbers where the study leaves some out."""
    from ..sources.simulation.settings import checked_settings  # brings GalSim, which takes a second

    asked = checked_settings(**{key: value for key, value in data.items() if key not in ("source", "dtype")})
    return sum(asked.sources.values()) * asked.alerts_per_source


def count_images(corpus: Mapping[str, Any]) -> int | None:
    """Images of a corpus; None where its labels cannot be read here."""
    if corpus["source"] == "simulation":
        return corpus.get("count")
    if corpus["source"] == "fractals":
        return _fractals(corpus)
    try:
        # Pictures that `merge` or another split leaves out are counted too, so this is the most.
        return len(pd.read_csv(expand_path(str(corpus["labels"]), "pretraining.corpus.labels"), usecols=[0]))
    except (OSError, ValueError, StudyError):
        return None


def _fractals(corpus: Mapping[str, Any]) -> int:
    """Images of every class, the numbers of the corpus's own where the study leaves them out."""
    from ..corpora.fractals import draw_fractals

    usual = inspect.signature(draw_fractals).parameters
    return math.prod(corpus.get(name, usual[name].default) for name in ("classes", "images_per_class"))
