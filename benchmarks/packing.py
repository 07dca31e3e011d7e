"""What does a run cost beside its training, alone in a process and packed with others? Short metadata runs, in turns.

one    a process a run: start of Python, import of torch, opening of the data, then the run, as with `packing: 0`
pack   all runs in one process
kept   the pack once more, after its outputs were removed: all runs are given back and none is trained

Each round takes every way once. The table gives medians over the rounds, per run: wall seconds, those of them that are
not training (less what run.json counts), and seconds of the processor, which neighbours disturb less. On Slurm each job
costs two more Snakemakes and up to three minutes until its end is seen, which is not in here.

    PYTHONPATH=workflow:tests python benchmarks/packing.py --runs 8 --rounds 3 --output packing.csv

Measured on one of two cores, 4 runs, 1 round, processor seconds per run: one 6.04, pack 1.81, kept 0.81. So a start
costs some 5.6 s, and a short metadata run 0.4 s. The machine was shared, so wall seconds were 3 to 9 times as long
(6 runs, medians of 3 rounds: one 26.9, pack 5.2, kept 1.8).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from alertgrid.dataset import read_catalogue, write_catalogue, write_dataset
from alertgrid.files import read_json, write_csv
from alertgrid.splits import assign_splits
from alerts import make_chunk

CELL = "metadata_net-none-metadata"
RECIPE = {"epochs": 5, "batch_size": 64}


def make_data(folder: Path) -> list[str]:
    """A dataset of 2,000 alerts; the options that name it."""
    dataset, catalogue = folder / "dataset.h5", folder / "catalogue.h5"
    write_dataset(dataset, folder / "refused.csv", [make_chunk(2000, 500)], source="benchmark")
    write_catalogue(catalogue, assign_splits(read_catalogue(dataset), policy="redraw", shares=(0.6, 0.2, 0.2)))
    return ["--dataset", str(dataset), "--catalogue", str(catalogue)]


def processor_seconds() -> float:
    """What all ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train(data: list[str], folder: Path, seeds: list[int]) -> tuple[float, float]:
    """Wall and processor seconds of one process that trains these seeds."""
    words = ["-m", "alertgrid", "train", *data, "--architecture", "metadata_net", "--pretraining", "none"]
    words += ["--inputs", "metadata", "--training", json.dumps(RECIPE), "--device", "cpu", "--threads", "1"]
    words += ["--runs", str(folder / "runs"), "--checkpoints", str(folder / "checkpoints")]
    words += [word for seed in seeds for word in ("--run", "1", str(seed), "0")]
    begun, used = time.perf_counter(), processor_seconds()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - begun, processor_seconds() - used


def trained_seconds(folder: Path) -> float:
    """Seconds that the runs themselves count."""
    return sum(read_json(path)["wall_seconds"] for path in (folder / "runs" / CELL).rglob("run.json"))


def measure(data: list[str], folder: Path, seeds: list[int]) -> list[tuple[str, float, float, float]]:
    """One round, every way once: way, wall seconds, those beside training, processor seconds."""
    rows = []
    for way, groups in (("one", [[seed] for seed in seeds]), ("pack", [seeds])):
        wall, processor = (
            sum(part) for part in zip(*(train(data, folder / way, group) for group in groups), strict=True)
        )
        rows.append((way, wall, wall - trained_seconds(folder / way), processor))
    shutil.rmtree(folder / "pack" / "runs")
    wall, processor = train(data, folder / "pack", seeds)
    return [*rows, ("kept", wall, wall, processor)]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, seeds = make_data(folder), list(range(options.runs))
        rounds = [measure(data, folder / str(number), seeds) for number in range(options.rounds)]
    columns = ["way", "wall_seconds", "beside_training_seconds", "processor_seconds"]
    table = pd.DataFrame([row for rows in rounds for row in rows], columns=columns).groupby("way", sort=False).median()
    table = (table / options.runs).round(2).reset_index()
    print(table.to_string(index=False))
    if options.output:
        write_csv(options.output, table)


if __name__ == "__main__":
    main()
