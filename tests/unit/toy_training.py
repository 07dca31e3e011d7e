"""A small real dataset, small networks and small feeds for the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from alertgrid.dataset import read_catalogue, write_catalogue, write_dataset
from alertgrid.splits import assign_splits
from alertgrid.training import Recipe, RunSpec, open_data, train_run
from alertgrid.training.data import Feed, Table
from alertgrid.training.step import Learner
from alerts import make_chunk
from torch import nn

CPU = torch.device("cpu")
MODELS = {
    "cnn": {"channels": [4, 4], "kernel": 3, "dropouts": [0.1, 0.1], "widths": [8], "dropout": 0.1},
    "metadata": {"widths": [16, 8]},
    "fusion": {"widths": [8, 4], "dropout": 0.1},
    "joint": {"widths": [8, 4], "metadata_widths": [8, 4]},
    "head": {"widths": [8], "dropout": 0.1},
}
RECIPE = {"epochs": 3, "batch_size": 16, "learning_rate": 0.003, "schedule_by": "step", "warmup_epochs": 1}


def write_toy(folder: Path, count: int = 160, objects: int = 40) -> tuple[Path, Path]:
    """dataset.h5 and catalogue.h5 of `conftest.make_chunk`."""
    dataset, catalogue = folder / "dataset.h5", folder / "catalogue.h5"
    write_dataset(dataset, folder / "refused.csv", [make_chunk(count, objects)], source="toy")
    splits = assign_splits(read_catalogue(dataset), policy="redraw", shares=(0.6, 0.2, 0.2))
    write_catalogue(catalogue, splits)
    return dataset, catalogue


def run_toy(files: tuple[Path, Path], folder: Path, *, recipe=None, models=None, sources=None, deadline=None, **spec):
    """Train one run into folder/out with its checkpoints in folder/checkpoints; the record."""
    names = {"architecture": "btsbot_cnn", "pretraining": "none", "inputs": "image", "fraction": 1.0, "seed": 1}
    run = RunSpec(**{**names, **spec})
    values = Recipe.parse({**RECIPE, **(recipe or {})})
    return train_run(
        open_data(*files, [run], recipe=values, device="cpu"),
        run,
        recipe=values,
        models={**MODELS, **(models or {})},
        output=folder / "out",
        checkpoints=folder / "checkpoints",
        sources=sources,
        threads=1,
        deadline=deadline,
    )


class Tiny(nn.Module):
    """Two layers on metadata, with dropout."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))

    def forward(self, stamps, metadata):
        return self.layers(metadata).squeeze(-1)


def toy_feed(count: int = 48, width: int = 6, seed: int = 0) -> Feed:
    """Random metadata whose first column tells the label."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(np.float32)
    values = rng.normal(0, 1, (count, width)).astype(np.float32)
    values[:, 0] += 3 * labels
    table = Table(torch.from_numpy(values), None, CPU)
    return Feed(None, table, torch.from_numpy(labels), rows=np.arange(count) + 1000)


def toy_learner(network: nn.Module | None = None, **options) -> Learner:
    """A learner on the CPU, the same at every call."""
    if network is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = Tiny()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, fused=True)
    return Learner(network, optimizer, torch.tensor(2.0), CPU, **options)


def same_run(first: Path, second: Path) -> None:
    """Assert that two run folders hold the same bits, clocks aside."""
    import pandas as pd
    from alertgrid.predictions import read_predictions

    for name in ("weights.safetensors", "last.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert read_predictions(first / "predictions.h5").equals(read_predictions(second / "predictions.h5"))
    histories = [pd.read_csv(folder / "history.csv") for folder in (first, second)]
    clocks = ["seconds", "alerts_per_second"]
    assert histories[0].drop(columns=clocks).equals(histories[1].drop(columns=clocks))
