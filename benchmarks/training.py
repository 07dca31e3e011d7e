"""What does a training step cost beside its floor, and beside the obvious way? One process, in turns.

ours   an epoch of the package: plan, batches gathered and turned, step at the best precision, checks, progress
floor  forward, backward and optimizer at the same precision on one batch that lies ready
plain  a DataLoader that turns one sample after the other, float32, the default AdamW; six workers started for each
       epoch as in BTSbot's published code, or `--workers 0`

Each round times every way once, on the same number of alerts; the table gives medians over the rounds, and ratios are
medians of the ratios within a round, so that what disturbs the machine for long disturbs both sides. Leave the machine
alone while it runs.

    PYTHONPATH=workflow python benchmarks/training.py --threads 2 --output training.csv
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from alertgrid.checkpoints import Checkpoints
from alertgrid.models import build_model
from alertgrid.progress import Progress
from alertgrid.training import Recipe
from alertgrid.training.data import Feed, Table
from alertgrid.training.hardware import arithmetic, choose_device, choose_precision
from alertgrid.training.interrupts import Watch
from alertgrid.training.loop import Training
from alertgrid.training.randomness import own_randomness
from alertgrid.training.step import Learner
from torch.utils.data import DataLoader, Dataset

BATCH = 64
# Network -> (inputs, steps in a round): long enough to time, short enough to take turns often.
NETWORKS = {
    "btsbot_cnn": ("image", 16),
    "convnext_pico": ("image", 16),
    "maxvit_tiny": ("image", 1),
    "metadata_net": ("metadata", 300),
}


def alerts(count: int, inputs: str, device: torch.device) -> Feed:
    """Random alerts as they lie in memory: stamps float16, metadata float32."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy((rng.random(count) < 0.3).astype(np.float32)).to(device)
    if inputs == "metadata":
        values = torch.from_numpy(rng.normal(0, 1, (count, 25)).astype(np.float32)).to(device)
        return Feed(None, Table(values, None, device), labels, rows=np.arange(count))
    stamps = torch.from_numpy(rng.normal(0, 0.016, (count, 3, 63, 63)).astype(np.float16)).to(device)
    return Feed(Table(stamps, None, device), None, labels, rows=np.arange(count))


def learner(name: str, inputs: str, device: torch.device, precision: str) -> Learner:
    """The published network as the package trains it."""
    order = torch.channels_last if inputs == "image" else torch.preserve_format
    network = build_model(name, inputs, 3, seed=1).to(device, memory_format=order)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    return Learner(network, optimizer, torch.tensor(2.0, device=device), device, precision, channels_last=True)


def ours(name: str, inputs: str, feed: Feed, device: torch.device, precision: str, folder: str) -> Callable[[], None]:
    """One epoch of the package's loop, without validation and checkpoint."""
    recipe = Recipe(batch_size=BATCH, epochs=1_000_000, checkpoint_minutes=1e6)
    subject = learner(name, inputs, device, precision)
    loop = Training(
        subject, feed, feed, recipe=recipe, seed=1, checkpoints=Checkpoints(folder, name), watch=Watch(), name=name
    )
    progress = Progress(0, name, every_seconds=1e9)

    def epoch() -> None:
        loop.train_epoch(progress)
        loop.state.epoch, loop.state.position = loop.state.epoch + 1, 0

    return epoch


def floor(name: str, inputs: str, feed: Feed, device: torch.device, precision: str, steps: int) -> Callable[[], None]:
    """The arithmetic alone, on one ready batch."""
    subject = learner(name, inputs, device, precision)
    image, metadata = next(feed.stream([torch.arange(BATCH, device=device)]))
    if image is not None:
        image = image.to(torch.float32, memory_format=torch.channels_last)
    labels = feed.labels[:BATCH]
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=subject.pos_weight)
    subject.network.train()

    def epoch() -> None:
        for _ in range(steps):
            subject.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                logits = subject.network(image, metadata)
            loss_of(logits.float(), labels).backward()
            subject.optimizer.step()

    return epoch


class Samples(Dataset):
    """One alert at a time, turned at random, as a beginner's tutorial has it."""

    def __init__(self, feed: Feed):
        table = feed.metadata if feed.image is None else feed.image
        self.values, self.labels, self.turned = table.values.float().cpu(), feed.labels.cpu(), feed.image is not None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        value = self.values[index]
        if self.turned:
            if torch.rand(()) < 0.5:
                value = value.flip(-1)
            if torch.rand(()) < 0.5:
                value = value.flip(-2)
            value = torch.rot90(value, int(torch.randint(4, ())), (-2, -1))
        return value, self.labels[index]


def plain(name: str, inputs: str, feed: Feed, device: torch.device, workers: int) -> Callable[[], None]:
    """The obvious loop, float32."""
    network = build_model(name, inputs, 3, seed=1).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0, device=device))
    loader = DataLoader(Samples(feed), BATCH, shuffle=True, num_workers=workers, drop_last=True)
    network.train()

    def epoch() -> None:
        total = 0.0
        for values, labels in loader:
            values, labels = values.to(device), labels.to(device)
            optimizer.zero_grad()
            logits = network(None, values) if inputs == "metadata" else network(values, None)
            loss = loss_of(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item()

    return epoch


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measure(name: str, device: torch.device, rounds: int, workers: int) -> dict[str, float | str]:
    """One row of the table."""
    inputs, steps = NETWORKS[name]
    steps *= 20 if device.type == "cuda" else 1
    feed = alerts(steps * BATCH, inputs, device)
    precision = choose_precision("auto", device, inputs)
    with tempfile.TemporaryDirectory() as folder, own_randomness(device):
        ways = {
            "ours": ours(name, inputs, feed, device, precision, folder),
            "floor": floor(name, inputs, feed, device, precision, steps),
            "plain": plain(name, inputs, feed, device, workers),
        }
        for work in ways.values():
            work()  # first calls allocate and choose kernels
        times = pd.DataFrame([{way: seconds(work, device) for way, work in ways.items()} for _ in range(rounds)])
    per_alert = times.median() / (steps * BATCH) * 1e3
    return {
        "network": name,
        "precision": precision,
        **{f"{way}_ms_per_alert": per_alert[way] for way in ways},
        "ours_over_floor": (times["ours"] / times["floor"]).median(),
        "plain_over_ours": (times["plain"] / times["ours"]).median(),
        "rounds": rounds,
        "alerts_per_round": steps * BATCH,
    }


def main() -> None:
    """Print the table and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", nargs="+", default=["btsbot_cnn", "convnext_pico", "metadata_net"], choices=NETWORKS
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, default=6, help="worker processes of the plain loader")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", help="CSV file")
    options = parser.parse_args()
    device = choose_device(options.device)
    with arithmetic(device, threads=options.threads, deterministic=False):
        rows = [measure(name, device, options.rounds, options.workers) for name in options.networks]
    table = pd.DataFrame(rows).assign(device=str(device), threads=options.threads, torch=torch.__version__)
    print(table.round(4).to_string(index=False))
    if options.output:
        table.to_csv(options.output, index=False)


if __name__ == "__main__":
    sys.exit(main())
