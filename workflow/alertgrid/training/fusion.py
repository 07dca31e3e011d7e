"""Frozen fusion: a new head on the embeddings of a trained image network and a trained metadata network.

The branches never change, so in `clean` mode their embeddings are computed once, for each of the eight views that
augmentation may show, and the head trains on them. In `compat` mode the branches run in training mode at every step, as
in the published code: their dropout acts and their batch statistics drift.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..errors import StudyError
from ..models import build_model
from .augment import SYMMETRIES
from .data import Data, Feed, Table, stamp_feed
from .hardware import available_memory
from .records import read_record, read_weights

SHARE = 0.5  # of the free memory that embeddings may take


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


def embed_split(
    model: nn.Module,
    data: Data,
    rows: np.ndarray,
    labels: np.ndarray,
    *,
    views: int,
    batch: int,
    precision: str,
    channels_last: bool = False,
    tick: Callable[[], None] | None = None,
) -> Feed:
    """Embeddings of one split under the first `views` symmetries, as a feed for the head.

    Parameters
    ----------
    model : nn.Module
        With `embeddings(stamps, metadata)`; left in evaluation mode.
    rows, labels : (n,) int64 array, (N,) float32 array
        Rows of the split, and the labels of the whole dataset.
    views : int
        1 to 8.
    precision : {"fp32", "bf16"}
        Of the branches' arithmetic; embeddings are stored as float32.
    tick : callable, optional
        Called between batches; may raise to leave.
    """
    source = stamp_feed(data, rows, labels)
    model.eval()
    image = metadata = None
    order = torch.arange(len(rows), device=data.device).split(batch)
    for view in range(views):
        turns = [torch.full_like(part, view) for part in order] if view else None
        for part, (stamps, values) in zip(order, source.stream(order, turns), strict=True):
            embedded = _embed(model, stamps, values, data.device, precision, channels_last)
            if image is None:
                image = _room(len(rows) * views, embedded[0].shape[1], data.device)
                metadata = torch.empty((len(rows), embedded[1].shape[1]), device=data.device)
            image[(part * views + view).to(image.device)] = embedded[0].to(image.device)
            metadata[part] = embedded[1]
            if tick:
                tick()
    tables = (Table(image, None, data.device), Table(metadata, None, data.device))
    return Feed(*tables, labels=source.labels, rows=rows, views=views)


@torch.inference_mode()
def _embed(model, stamps, values, device, precision, channels_last) -> tuple[torch.Tensor, torch.Tensor]:
    """Both embeddings of one batch, float32."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        image, metadata = model.embeddings(stamps.to(torch.float32, memory_format=order), values)
    return image.float(), metadata.float()


def _room(count: int, width: int, device: torch.device) -> torch.Tensor:
    """Empty table on the device when it fits there, else on the host."""
    fits = 4 * count * width <= SHARE * available_memory(device)
    return torch.empty((count, width), device=device if fits else "cpu")


def feeds(model: nn.Module, data: Data, selection, *, augment: bool, precision: str, **options) -> dict[str, Feed]:
    """Embeddings of train (all views), val and test (as stored; float32, since they give the final scores)."""
    views = SYMMETRIES if augment else 1
    train = embed_split(model, data, selection.train, selection.labels, views=views, precision=precision, **options)
    rest = {
        name: embed_split(model, data, getattr(selection, name), selection.labels, views=1, precision="fp32", **options)
        for name in ("val", "test")
    }
    return {"train": train, **rest}
