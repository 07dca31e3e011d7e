"""Frozen fusion: a new head on the embeddings of a trained image network and a trained metadata network.

The branches never change, so in `clean` mode their embeddings are computed once, for each of the eight views that
augmentation may show, and the head trains on them; what took long is kept beside the checkpoints, so that a job that
ends before the last view is done goes on there. In `compat` mode the branches run in training mode at every step,
as in the published code: their dropout acts and their batch statistics drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..checkpoints import Checkpoints
from ..errors import Interrupted, StudyError
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
        Keeps what took long.
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
        part = self.keeper.get(name) or {"done": 0, "seconds": 0.0, "tables": []}
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
        """Empty table on the device when it fits there, else on the host, else in a file."""
        fits = 4 * count * width <= SHARE * available_memory(self.data.device)
        return torch.empty((count, width), device=self.data.device if fits else "cpu")
