"""The simulated survey as a source of alerts: sources observed one after the other, handed on in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from alertgrid.columns import METADATA_COLUMNS
from alertgrid.history import derive_history
from alertgrid.progress import Progress
from alertgrid.sources import Chunk
from alertgrid.sources.cuts import cut_chunk
from alertgrid.sources.simulation.observation import Observed, observe_source
from alertgrid.sources.simulation.settings import Settings, checked_settings
from alertgrid.sources.simulation.sharing import in_order
from alertgrid.sources.simulation.survey import check_visits
from alertgrid.stamps import preprocess_cutouts

KEPT_COLUMNS = ("object_type", "jdstarthist", "peakmag", "seeing", "magzpsci")


def inputs(**settings) -> list[Path]:
    """Files read: none, the sky is made from its settings."""
    checked_settings(**settings)
    return []


def read(*, workers: int = 1, **settings) -> Iterator[Chunk]:
    """Alerts of a simulated survey.

    Parameters
    ----------
    workers : int
        Processes that share the work; the alerts are the same for any number of them.
    **settings
        Fields of `settings.Settings`: numbers of sources per set, seed, weather, detector.

    Returns
    -------
    iterator of Chunk
        All alerts of a source lie in one chunk; source sets alternate. Equal settings give equal bytes, and more
        sources keep the earlier ones as they are. `split` is empty. Kept extra columns: object_type, jdstarthist
        (days), peakmag (brightest detection of the source, mag), seeing (FWHM in pixels), magzpsci (zero point as the
        pipeline knows it, mag).

    Raises
    ------
    StudyError
        For an unknown setting, one out of bounds, or a sky that is hardly looked at, before anything is drawn.
    """
    chosen = checked_settings(**settings)
    check_visits(chosen)
    chunks = _chunks(chosen, workers)
    return (cut_chunk(chunk, chunk.catalogue["peakmag"]) for chunk in chunks) if chosen.apply_cuts else chunks


def _chunks(settings: Settings, workers: int) -> Iterator[Chunk]:
    """Observe all sources in turn."""
    order = source_order(settings)
    progress = Progress(len(order), "simulated sky", unit="sources")
    waiting: list[Observed] = []
    for observed in in_order(partial(_observed, settings), order, workers):
        waiting.append(observed)
        progress.step()
        if sum(len(source.cutouts) for source in waiting) >= settings.chunk_alerts:
            yield chunk_of(waiting)
            waiting = []
    if waiting:
        yield chunk_of(waiting)


def _observed(settings: Settings, source: tuple[str, int]) -> Observed:
    """One source of the order."""
    return observe_source(settings, *source)


def source_order(settings: Settings) -> list[tuple[str, int]]:
    """Source set and index of every source, the sets mixed evenly."""
    every = [((index + 0.5) / count, name, index) for name, count in settings.sources.items() for index in range(count)]
    return [(name, index) for _, name, index in sorted(every)]


def chunk_of(sources: list[Observed]) -> Chunk:
    """One chunk from the alerts of some sources."""
    table = _table(sources)
    columns = ["candid", "objectId", "jd", "fid", "magpsf", "isdiffpos", "ra", "dec", "label", "source_set", "split"]
    return Chunk(
        catalogue=table[[*columns, *KEPT_COLUMNS]],
        metadata=table[list(METADATA_COLUMNS)].to_numpy(dtype=np.float32),
        stamps=preprocess_cutouts(np.concatenate([source.cutouts for source in sources])),
    )


def _table(sources: list[Observed]) -> pd.DataFrame:
    """All columns of the kept alerts; derived ones look back over every alert of the source."""
    counts = [len(source.kept) for source in sources]
    history = pd.DataFrame({name: np.concatenate([s.history[name] for s in sources]) for name in sources[0].history})
    history["objectId"] = np.repeat([source.object_id for source in sources], counts)
    history["source_set"] = np.repeat([source.source_set for source in sources], counts)
    history["label"] = (history["source_set"] == "trues").astype(np.int64)
    history["split"] = ""
    history["peakmag"] = history.groupby("objectId")["magpsf"].transform("min")
    derived = derive_history(history)
    history = history.assign(**{name: derived[name] for name in derived.columns})
    kept = history[np.concatenate([source.kept for source in sources])].reset_index(drop=True)
    names = [name for name in sources[0].rows if name not in history]
    return kept.assign(**{name: [value for source in sources for value in source.rows[name]] for name in names})
