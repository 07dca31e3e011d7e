"""Where do the batches come from? From the memory of the device when the stamps fit there, else from the mapped file.

Alerts are stored once, in float16, and leave as whole batches: no sample is touched alone, no worker process copies.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..columns import STAMP_SETS
from ..dataset import open_stamps, read_attributes, read_catalogue, read_metadata
from ..files import sha256
from .augment import apply_symmetry
from .hardware import available_memory, choose_device

BLOCK = 2048  # alerts copied at once while loading
SMALL_ROW, TOGETHER = 4096, 64  # rows of up to 4 kB are gathered for 64 batches at once, which saves launches
SHARE = 0.5  # of the free memory that resident stamps may take


@dataclass(frozen=True)
class Table:
    """Rows of floating-point values, on the device or on the host.

    Attributes
    ----------
    values : (N, ...) tensor
        On the device, or on the host where it may be a memory-mapped file.
    rows : (n,) int64 tensor or None
        Row of `values` for each position; None where they are the same. On the same side as `values`.
    device : torch.device
        Where batches go.
    """

    values: torch.Tensor
    rows: torch.Tensor | None
    device: torch.device

    def take(self, positions: torch.Tensor) -> torch.Tensor:
        """Rows at these positions, on the side where `values` are."""
        positions = positions.to(self.values.device)
        return self.values[positions if self.rows is None else self.rows[positions]]

    def stream(self, batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Batches on the device, one after the other; from the host the next one is fetched during the current one."""
        if self.values.device.type != self.device.type:
            yield from self._prefetch(batches)
            return
        together = TOGETHER if self.values[:1].nbytes <= SMALL_ROW else 1
        for start in range(0, len(batches), together):
            group = list(batches[start : start + together])
            yield from self.take(torch.cat(group)).split([len(batch) for batch in group])

    def _prefetch(self, batches: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Gather into page-locked memory on another thread, copy without waiting."""
        hosted = [batch.cpu() for batch in batches]
        if not hosted:
            return
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(lambda batch: self.take(batch).pin_memory(), hosted[0])
            for following in [*hosted[1:], None]:
                batch = coming.result()
                if following is not None:
                    coming = thread.submit(lambda batch: self.take(batch).pin_memory(), following)
                yield batch.to(self.device, non_blocking=True)

    def subset(self, positions: np.ndarray) -> Table:
        """The same values, seen through a choice of positions."""
        chosen = torch.from_numpy(positions).to(self.values.device)
        return Table(self.values, chosen if self.rows is None else self.rows[chosen], self.device)


@dataclass(frozen=True)
class Data:
    """A dataset opened for training; several runs of one process may share it.

    Attributes
    ----------
    catalogue : DataFrame
        One row per alert of the dataset.
    stamps : Table or None
        The channels of one stamp set, float16; positions are rows of the dataset.
    metadata : Table or None
        (N, 25) float32.
    hashes : dict
        Name -> SHA-256 of what was read.
    memory_mb : int, optional
        Memory (MB) that the job was given (see `hardware.available_memory`).
    """

    catalogue: pd.DataFrame
    stamps: Table | None
    metadata: Table | None
    hashes: dict[str, str]
    device: torch.device
    channels: int
    memory_mb: int | None = None


def load_data(
    dataset: str | Path,
    catalogue: str | Path,
    *,
    images: bool = True,
    metadata: bool = True,
    stamps: str = "all",
    device: str | torch.device = "auto",
    rows: np.ndarray | None = None,
    resident: str = "auto",
    memory_mb: int | None = None,
) -> Data:
    """Open a dataset for one or more runs.

    Parameters
    ----------
    dataset, catalogue : path
        dataset.h5, and the catalogue with splits whose rows are in the same order.
    images, metadata : bool
        Which arrays are needed.
    stamps : str
        Name of a stamp set of `columns.STAMP_SETS`.
    rows : (n,) int64 array, optional
        Rows that will be used (ascending); the others are not brought into memory. All by default.
    resident : {"auto", "yes", "no"}
        Whether the stamps are kept in the memory of the device; auto does when they take at most half of what is free.
    memory_mb : int, optional
        Memory (MB) that the job was given (see `hardware.available_memory`).
    """
    device = choose_device(device)
    table = read_catalogue(catalogue)
    channels = STAMP_SETS[stamps]
    used = np.arange(len(table)) if rows is None else rows
    room = SHARE * available_memory(device, memory_mb)
    return Data(
        catalogue=table,
        stamps=stamp_table(open_stamps(dataset), used, channels, device, resident, room) if images else None,
        metadata=Table(torch.from_numpy(read_metadata(dataset)).to(device), None, device) if metadata else None,
        hashes=data_hashes(dataset, catalogue),
        device=device,
        channels=len(channels),
        memory_mb=memory_mb,
    )


def data_hashes(dataset: str | Path, catalogue: str | Path) -> dict[str, str]:
    """Name -> SHA-256 of the alerts and of their splits."""
    return {"dataset": content_hash(dataset), "catalogue": sha256(catalogue)}


def content_hash(dataset: str | Path) -> str:
    """SHA-256 of a dataset's content: its catalogue with the digest of every stamp, its metadata, its own inputs.

    The stamps are represented by their digests, so a 20 GB file is known in a second.
    """
    table = read_catalogue(dataset)
    digest = hashlib.sha256(json.dumps(read_attributes(dataset), sort_keys=True, default=str).encode())
    for name in sorted(table):
        digest.update(f"\n{name}=".encode())
        digest.update(pd.util.hash_array(table[name].to_numpy()))
    digest.update(np.ascontiguousarray(read_metadata(dataset)))
    return digest.hexdigest()


def stamp_table(
    mapped: np.ndarray,
    used: np.ndarray,
    channels: tuple[int, ...],
    device: torch.device,
    resident: str,
    room: float,
) -> Table:
    """Bring rows of an array (N, c, h, w) into the device's memory, where they may take `room` bytes, or map them."""
    size = len(used) * len(channels) * mapped[0, 0].nbytes
    if resident == "no" or (resident == "auto" and size > room):
        return _map_stamps(mapped, channels, device)
    values = torch.empty((len(used), len(channels), *mapped.shape[2:]), dtype=_dtype(mapped), device=device)
    for start in range(0, len(used), BLOCK):
        block = mapped[used[start : start + BLOCK]][:, list(channels)]
        values[start : start + BLOCK] = torch.from_numpy(np.ascontiguousarray(block))
    where = np.full(len(mapped), -1, np.int64)
    where[used] = np.arange(len(used))
    return Table(values, torch.from_numpy(where).to(device), device)


def _map_stamps(mapped: np.memmap, channels: tuple[int, ...], device: torch.device) -> Table:
    """The stamps as they lie in the file; only the batches asked for are read."""
    with warnings.catch_warnings():
        # torch warns that the mapped file is read-only: so it should be, batches are copies.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        values = torch.from_numpy(mapped)
    first, last, step = channels[0], channels[-1], max(np.diff([*channels, channels[-1] + 1])[0], 1)
    return Table(values[:, first : last + 1 : int(step)], None, device)


def _dtype(array: np.ndarray) -> torch.dtype:
    """torch's name of a NumPy type."""
    return torch.from_numpy(np.zeros(0, array.dtype)).dtype


@dataclass(frozen=True)
class Feed:
    """What a network is fed for one split: two tables, either of which may be absent.

    Attributes
    ----------
    image, metadata : Table or None
        Stamps or image embeddings, and metadata or its embeddings, by position in the split.
    labels : (n,) float32 tensor
        On the device.
    rows : (n,) int64 array
        Rows of the dataset, to name alerts by.
    views : int
        Embeddings stored for each alert, one for each symmetry used; 0 for stamps, which are turned when taken.
    """

    image: Table | None
    metadata: Table | None
    labels: torch.Tensor
    rows: np.ndarray
    views: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def stream(
        self, order: Sequence[torch.Tensor], symmetry: Sequence[torch.Tensor] | None = None
    ) -> Iterator[tuple[torch.Tensor | None, torch.Tensor | None]]:
        """Inputs of the network for each batch of positions, under the given symmetries (none: as stored)."""
        images = self._images(order, symmetry) if self.image is not None else (None for _ in order)
        tables = self.metadata.stream(order) if self.metadata is not None else (None for _ in order)
        yield from zip(images, tables, strict=True)

    def stream_labels(self, order: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Labels of each batch of positions."""
        return Table(self.labels, None, self.labels.device).stream(order)

    def _images(self, order, symmetry) -> Iterator[torch.Tensor]:
        """Stamps turned by their symmetries, or the embeddings of the turned stamps."""
        turns = symmetry or [None] * len(order)
        if not self.views:
            for stamps, turn in zip(self.image.stream(order), turns, strict=True):
                yield stamps if turn is None else apply_symmetry(stamps, turn)
            return
        places = [batch * self.views + (0 if turn is None else turn) for batch, turn in zip(order, turns, strict=True)]
        yield from self.image.stream(places)


def stamp_feed(data: Data, rows: np.ndarray, labels: np.ndarray, inputs: str) -> Feed:
    """Feed of one split straight from the data, with what these inputs need."""
    return Feed(
        image=data.stamps.subset(rows) if inputs != "metadata" else None,
        metadata=data.metadata.subset(rows) if inputs != "image" else None,
        labels=torch.from_numpy(labels[rows]).to(data.device),
        rows=rows,
    )
