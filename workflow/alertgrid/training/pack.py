"""How do several runs of a cell share a job? One process, one opened dataset, one run after the other.

What each run leaves is the same as if it were alone: outputs, checkpoints, lock. One that fails does not stop the
others; a stop (signal, end of the time) ends all of them. Runs that were finished before are not trained again.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import Interrupted, StudyError
from ..files import read_json, write_json
from ..locks import hold
from ..progress import announce
from .data import Data, data_hashes
from .finished import FOLDER, Finished, fingerprint
from .hardware import free_memory
from .interrupts import Watch
from .outcome import summary
from .recipe import Recipe
from .run import open_data, train_run
from .spec import RunSpec, Sources
from .team import train_together

FAILED = "failed.json"  # in the folder of checkpoints: why the last attempt failed


@dataclass(frozen=True)
class Pack:
    """Runs of one cell, and all that is needed to train them.

    Attributes
    ----------
    specs : sequence of RunSpec
        The runs, in the order in which they are trained.
    dataset, catalogue : path
        The alerts, and their splits.
    runs, checkpoints : path
        Roots; a run's folders are named below them as in grid.csv.
    recipe, models : Recipe, mapping
        How they are trained, settings of the networks.
    encoder : path, optional
        Folder of the initial weights.
    image_cell, metadata_cell : str, optional
        Cells below `runs` whose runs of the same fraction and seed a frozen fusion joins.
    code : str
        Hash of the code that trains.
    device, threads, deadline
        As for `train_run`.
    memory_mb : int, optional
        Memory (MB) that the job was given.
    console : int, optional
        File descriptor that is told of each finished run, beside the log.
    """

    specs: Sequence[RunSpec]
    dataset: Path
    catalogue: Path
    runs: Path
    checkpoints: Path
    recipe: Recipe = field(default_factory=Recipe)
    models: Mapping[str, Any] = field(default_factory=dict)
    encoder: Path | None = None
    image_cell: str | None = None
    metadata_cell: str | None = None
    code: str = ""
    device: str | torch.device = "auto"
    threads: int | None = None
    deadline: float | None = None
    memory_mb: int | None = None
    console: int | None = None

    def sources(self, spec: RunSpec) -> Sources:
        """What a run starts from."""
        place = Path(spec.run).relative_to(spec.cell)
        cells = [cell and self.runs / cell / place for cell in (self.image_cell, self.metadata_cell)]
        return Sources(self.encoder, *cells)


def train_pack(pack: Pack) -> dict[str, str]:
    """Train the runs of a pack, and print a line for each that is done.

    Returns
    -------
    dict
        Run -> reason, for those that failed.

    Raises
    ------
    Interrupted
        Stopped before the end by a signal or the deadline; saved.
    """
    failures: dict[str, str] = {}
    with Watch(pack.deadline, pack.recipe.stop_margin_seconds) as watch:
        waiting = _restore(pack, failures)
        together = pack.recipe.devices > 1  # each process opens the data for itself
        data = None if together else _open(pack, waiting, failures)
        for spec in waiting if data or together else ():
            with _noted(pack, [spec], failures):
                _train(pack, spec, data)
            if spec != waiting[-1]:
                watch.check()
    return failures


def _open(pack: Pack, specs: Sequence[RunSpec], failures: dict[str, str]) -> Data | None:
    """The data that these runs share; None when there are no runs, or no data."""
    if specs:
        with _noted(pack, specs, failures):
            machine = {"device": pack.device, "memory_mb": pack.memory_mb}
            return open_data(pack.dataset, pack.catalogue, specs, recipe=pack.recipe, **machine)
    return None


def _restore(pack: Pack, failures: dict[str, str]) -> list[RunSpec]:
    """Give back the runs that were finished before; the others, in their order."""
    kept = [spec for spec in pack.specs if (pack.checkpoints / spec.run / FOLDER).exists()]
    restored = set()
    if kept:
        hashes = data_hashes(pack.dataset, pack.catalogue)
    for spec in kept:
        with (
            _noted(pack, [spec], failures),
            hold(pack.checkpoints / spec.run / "lock.json", f"training of {spec.name}"),
        ):
            inputs = {**hashes, **pack.sources(spec).hashes()}
            identity = fingerprint(spec, pack.recipe, pack.models, inputs) + pack.code
            if Finished(pack.checkpoints / spec.run, identity).restore(pack.runs / spec.run):
                announce(f"kept: {summary(read_json(pack.runs / spec.run / 'run.json'))}", pack.console)
                restored.add(spec)
    return [spec for spec in pack.specs if spec not in restored and spec.run not in failures]


def _train(pack: Pack, spec: RunSpec, data: Data | None) -> None:
    """One run, and its line; it finds memory, and torch's count of compiled networks, as the first one did."""
    (pack.checkpoints / spec.run / FAILED).unlink(missing_ok=True)
    shared = {"models": pack.models, "sources": pack.sources(spec), "threads": pack.threads}
    leading = {"output": pack.runs / spec.run, "checkpoints": pack.checkpoints / spec.run}
    leading |= {"deadline": pack.deadline, "code": pack.code}
    if data is None:
        options = {"leading": leading, "device": str(pack.device), "memory_mb": pack.memory_mb}
        record = train_together(pack.dataset, pack.catalogue, spec, recipe=pack.recipe, **options, **shared)
    else:
        free_memory(data.device)
        if pack.recipe.compile != "no":
            torch.compiler.reset()
        record = train_run(data, spec, recipe=pack.recipe, **shared, **leading)
    announce(summary(record), pack.console)


@contextlib.contextmanager
def _noted(pack: Pack, specs: Iterable[RunSpec], failures: dict[str, str]) -> Iterator[None]:
    """Note a failure for these runs, with its reason, and go on; a stop is no failure."""
    try:
        yield
    except Interrupted:
        raise
    # Whatever went wrong with one run (memory, disk, a mistake of ours), the others may be fine.
    except Exception as error:
        if not isinstance(error, StudyError):
            traceback.print_exc()
        reason = str(error) if isinstance(error, StudyError) else f"{type(error).__name__}: {error}"
        for spec in specs:
            failures[spec.run] = reason
            print(f"{spec.name}: failed: {reason}", file=sys.stderr, flush=True)
            with contextlib.suppress(StudyError):  # the disk may be what failed
                write_json(pack.checkpoints / spec.run / FAILED, {"reason": reason, "updated": time.time()})
