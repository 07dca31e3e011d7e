"""What does a run cost beside its training, alone in a process and packed with others? Short metadata runs, in turns.

one    a process a run: start of Python, import of torch, opening of the data, then the run, as with `packing: 0`
pack   all runs in one process
kept   the pack once more, after its outputs were removed: all runs are given back and none is trained

Each round takes every way once. The table gives medians over the rounds of the wall seconds per run, and of what is not
training (wall seconds less the seconds that run.json counts). On Slurm each job costs two more Snakemakes and up to
three minutes until its end is seen, which is not in here.

    PYTHONPATH=workflow:tests python benchmarks/packing.py --runs 8 --rounds 3 --output packing.csv

MEASURED
"""

from __future__ import annotations

import argparse
import json
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


def train(data: list[str], folder: Path, seeds: list[int]) -> float:
    """Wall seconds of one process that trains these seeds."""
    words = ["-m", "alertgrid", "train", *data, "--architecture", "metadata_net", "--pretraining", "none"]
    words += ["--inputs", "metadata", "--training", json.dumps(RECIPE), "--device", "cpu", "--threads", "1"]
    words += ["--runs", str(folder / "runs"), "--checkpoints", str(folder / "checkpoints")]
    words += [word for seed in seeds for word in ("--run", "1", str(seed), "0")]
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - begun


def trained_seconds(folder: Path) -> float:
    """Seconds that the runs themselves count."""
    return sum(read_json(path)["wall_seconds"] for path in (folder / "runs" / CELL).rglob("run.json"))


def measure(data: list[str], folder: Path, seeds: list[int]) -> list[dict]:
    """One round: every way once."""
    rows = []
    for way, groups in (("one", [[seed] for seed in seeds]), ("pack", [seeds])):
        wall = sum(train(data, folder / way, group) for group in groups)
        rows.append({"way": way, "wall": wall, "beside": wall - trained_seconds(folder / way)})
    shutil.rmtree(folder / "pack" / "runs")
    wall = train(data, folder / "pack", seeds)
    return [*rows, {"way": "kept", "wall": wall, "beside": wall}]


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
    table = pd.DataFrame([row for rows in rounds for row in rows]).groupby("way", sort=False).median()
    table = (table / options.runs).add_suffix("_seconds_per_run").round(3).reset_index()
    print(table.to_string(index=False))
    if options.output:
        write_csv(options.output, table)


if __name__ == "__main__":
    main()
