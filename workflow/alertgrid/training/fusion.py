"""Frozen fusion: a new head on the embeddings of a trained image network and a trained metadata network.

The branches never change, so in `clean` mode their embeddings are computed once, for each of the eight views that
augmentation may show, and the head trains on them; what took long is kept beside the checkpoints, so that a job that
ends before the last view is done goes on there. Where they fit into no memory, they are streamed from a file, of which
each of several processes that train together has its own. In `compat` mode the branches run in training mode at every
step, as in the published code: their dropout acts and their batch statistics drift.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..checkpoints import Checkpoints
from ..errors import Interrupted, StudyError, disk_errors
from ..models import build_model
from ..progress import Progress
from .augment import SYMMETRIES
from .data import Data, Feed, Table, stamp_feed
from .hardware import available_memory
from .records import read_record, read_weights
from .step import halve

SHARE = 0.5  # of the free memory that embeddings may take
WORTH_SECONDS = 20.0  # what is made of a view in less time is made again after a stop, which costs minutes at most


def load_branch(folder: str | Path, inputs: str, channels: int, expected: dict[str, object]) -> nn.Module:
    """The network of a finished run, with its best weights.

    Parameters
    ----------
    folder : path
        Run folder.
    inputs : {"image", "metadata"}
        What the run must have been trained on.
    channels : int
        Cutouts of a stamp.
    expected : mapping
        Keys of run.json and the values they must have (fraction, seed, ...).

    Raises
    ------
    StudyError
        The folder holds another run, or its weights do not fit.
    """
    record = read_record(folder)
    for key, value in {"inputs": inputs, **expected}.items():
        if record.get(key) != value:
            raise StudyError(
                str(Path(folder) / "run.json"),
                f"{key} is {record.get(key)!r}",
                f"{value!r}",
                "give the run that belongs here",
            )
    model = build_model(record["architecture"], inputs, channels, record["settings"]["models"])
    try:
        model.load_state_dict(read_weights(folder))
    except RuntimeError as error:
        raise StudyError(
            str(Path(folder) / "weights.safetensors"), str(error), "weights of this network", "train that run again"
        ) from None
    return model


class Embedder:
    """Runs the frozen branches over the splits of a dataset.

    Parameters
    ----------
    model : FusionModel
        With `embeddings(stamps, metadata)`.
    data : Data
    keeper : Checkpoints
        Keeps what took long; what fits into no memory lies in its folder.
    batch : int
        Alerts per forward pass.
    channels_last : bool
        Memory order of the stamps.
    tick : callable, optional
        Called between batches; may raise to leave.

    Attributes
    ----------
    seconds : float
        That earlier sessions spent on what they have kept.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        keeper: Checkpoints,
        batch: int,
        channels_last: bool = False,
        tick: Callable[[], None] | None = None,
    ):
        self.model, self.data, self.keeper, self.batch, self.tick = model, data, keeper, batch, tick
        self.seconds = 0.0
        self.order = torch.channels_last if channels_last else torch.contiguous_format

    def split(self, name: str, rows: np.ndarray, labels: np.ndarray, *, all_views: bool, precision: str) -> Feed:
        """Embeddings of one split, as a feed for the head.

        Parameters
        ----------
        name : str
            Of the split.
        rows, labels : (n,) int64 array, (N,) float32 array
            Rows of the split, and the labels of the whole dataset.
        all_views : bool
            Embed all eight symmetric views, or the stamps as stored only.
        precision : {"fp32", "bf16"}
            Of the branches' arithmetic; embeddings are stored as float32.
        """
        self.model.eval()
        source = stamp_feed(self.data, rows, labels, "fusion")
        views, device = SYMMETRIES if all_views else 1, self.data.device
        progress = Progress(len(rows) * views, f"embeddings of {name}")
        image = metadata = None
        for view in range(views):
            embedded, metadata = self._view(f"{name}-{view}", source, view, precision, progress)
            if image is None:
                image = self._room(len(rows) * views, embedded.shape[1])
            image[view::views] = embedded.to(image.device)
        tables = (Table(image, None, device), Table(metadata.to(device), None, device))
        return Feed(*tables, labels=source.labels, rows=rows, views=views)

    def _view(
        self, name: str, source: Feed, view: int, precision: str, progress: Progress
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both embeddings of one view, from where an earlier session has left it."""
        part = self.keeper.get(name) or {"seconds": 0.0}
        if part.get("precision") != precision:  # there is none, or it was begun on another kind of machine
            part |= {"precision": precision, "done": 0, "tables": []}
        self.seconds += part["seconds"]
        progress.total -= part["done"]
        if part["done"] < len(source):
            began, stop = time.monotonic(), None
            try:
                self._go_on(part, source, view, precision, progress)
            except Interrupted as asked:
                stop = asked
            part["seconds"] += time.monotonic() - began
            if part["seconds"] >= WORTH_SECONDS:
                self.keeper.put(name, part)
            if stop:
                raise stop
        return tuple(part["tables"])

    def _go_on(self, part: dict[str, Any], source: Feed, view: int, precision: str, progress: Progress) -> None:
        """Embed what is not done of a split, seen under one symmetry; in halves of a batch when memory runs out."""
        while not self._try_rest(part, source, view, precision, progress):
            self.batch = halve(self.batch, "embedding", self.data.device)

    def _try_rest(self, part: dict[str, Any], source: Feed, view: int, precision: str, progress: Progress) -> bool:
        """Embed what is not done, batch by batch; False when memory ran out."""
        # From the beginning of a batch, so that the batches, and with them the bits, are those of an undisturbed run.
        order = torch.arange(part["done"], len(source), device=self.data.device).split(self.batch)
        turns = [torch.full_like(batch, view) for batch in order]
        try:
            for batch, inputs in zip(order, source.stream(order, turns), strict=True):
                embedded = self._embed(*inputs, precision)
                part["tables"] = part["tables"] or [self._room(len(source), values.shape[1]) for values in embedded]
                for table, values in zip(part["tables"], embedded, strict=True):
                    table[batch.to(table.device)] = values.to(table.device)
                part["done"] += len(batch)
                progress.step(len(batch))
                if self.tick:
                    self.tick()
            return True
        except torch.OutOfMemoryError:
            return False

    @torch.no_grad()
    def _embed(self, stamps: torch.Tensor, values: torch.Tensor, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Both embeddings of one batch, float32."""
        with torch.autocast(self.data.device.type, torch.bfloat16, enabled=precision == "bf16"):
            image, metadata = self.model.embeddings(stamps.to(torch.float32, memory_format=self.order), values)
        return image.float(), metadata.float()

    def _room(self, count: int, width: int) -> torch.Tensor:
        """Empty table on the device when it fits there, else on the host, else in a file beside the checkpoints."""
        size, folder = 4 * count * width, self.keeper.folder
        for place in (self.data.device, torch.device("cpu")):
            if size <= SHARE * available_memory(place, self.data.memory_mb):
                return torch.empty((count, width), device=place)
        print(
            f"embeddings of {size / 1e9:.3g} GB take over half of the memory that is free on {self.data.device} and on "
            f"the host: they lie on disk, in a hidden file in {folder}, until this process ends",
            file=sys.stderr,
            flush=True,
        )
        return _table_in_file(folder, count, width)


def _table_in_file(folder: Path, count: int, width: int) -> torch.Tensor:
    """Empty table in a file without a name, which is gone when the process is, however that ends."""
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # not macOS
            # The process would be killed where it writes what the disk has no space for; so that is asked for now.
            os.posix_fallocate(file.fileno(), 0, 4 * count * width)
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(count, width)))
