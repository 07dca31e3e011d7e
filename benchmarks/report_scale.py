"""How long does a report take, and how much memory? Tables, figures, page and cards from generated predictions.

The catalogue has four source sets with several alerts per object; each run scores its alerts with a skill of its own.
The size asked of the report is 420 runs of 100,000 test alerts in under 60 s and 4 GB.

    PYTHONPATH=workflow python benchmarks/report_scale.py --cells 14 --fractions 6 --seeds 5 --alerts 100000
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from alertgrid.cards import write_cards, write_checklist
from alertgrid.dataset import write_catalogue
from alertgrid.figures import write_figures
from alertgrid.files import write_csv, write_json
from alertgrid.grid import cell_name, run_name
from alertgrid.page import write_page
from alertgrid.predictions import write_predictions
from alertgrid.tables import write_tables
from scipy import special

SETS = ("trues", "dims", "vars", "rejects")


def catalogue(alerts: int, per_source: int, rng: np.random.Generator) -> pd.DataFrame:
    """Test alerts and a tenth as many validation alerts, `per_source` alerts per object on average."""
    tables = []
    for split, size in (("test", alerts), ("val", max(alerts // 10, 40))):
        sources = max(size // per_source, 8)
        source = np.sort(rng.integers(0, sources, size))
        kind = rng.choice(4, sources, p=[0.3, 0.2, 0.3, 0.2])
        level = np.where(kind == 0, rng.uniform(17.0, 18.4, sources), rng.uniform(18.5, 20, sources))
        jd = 2459000.5 + rng.uniform(0, 60, size)
        columns = {"objectId": np.char.add(f"ZTF{split}", source.astype(str)), "jd": jd}
        columns |= {"magpsf": level[source] + np.abs(rng.normal(0, 0.5, size)), "fid": rng.integers(1, 3, size)}
        columns |= {"label": (kind[source] == 0).astype(int), "source_set": np.array(SETS)[kind[source]]}
        tables.append(pd.DataFrame(columns).assign(split=split, isdiffpos="t", ra=10.0, dec=20.0))
    table = pd.concat(tables, ignore_index=True)
    table["candid"] = 10**15 + rng.permutation(len(table))
    object_effect = rng.normal(0, 1, len(table))[pd.factorize(table["objectId"])[0]]
    table["other_score"] = special.expit(4 * table["label"] - 2 + object_effect + rng.normal(0, 1, len(table)))
    table["effect"] = object_effect
    return table


def grid(cells: int, fractions: int, seeds: int) -> pd.DataFrame:
    """Runs of `cells` cells: three architectures, pre-trainings, inputs and stamps in turn, and a permuted control."""
    names = [("btsbot_cnn", "none", "image", "all", "given"), ("metadata_net", "none", "metadata", "all", "given")]
    names += [(a, p, "image", "all", "given") for a in ("convnext_pico", "maxvit_tiny") for p in ("none", "galaxyzoo")]
    names += [(a, "none", "fusion", "all", "given") for a in ("btsbot_cnn", "convnext_pico")]
    names += [
        ("convnext_pico", "imagenet", "image", "all", "given"),
        ("btsbot_cnn", "none", "image", "all", "permuted"),
    ]
    names += [("convnext_pico", "none", "image", "science_template", "given")]
    names += [(f"net{i}", "none", "image", "all", "given") for i in range(max(cells - len(names), 0))]
    rows = []
    for architecture, pretraining, inputs, stamps, labels in names[:cells]:
        cell = cell_name(architecture, pretraining, inputs, stamps, labels)
        for fraction in np.unique(np.round(np.geomspace(0.03, 1, fractions), 2))[::-1]:
            for seed in range(seeds):
                run = run_name(cell, fraction, seed)
                rows.append((run, cell, architecture, pretraining, inputs, stamps, labels, fraction, seed, 0))
    columns = ["run", "cell", "architecture", "pretraining", "inputs", "stamps", "labels", "fraction", "seed", "draw"]
    return pd.DataFrame(rows, columns=columns)


def make_runs(folder: Path, table: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Write predictions, records and histories of every run."""
    effect = table["effect"].to_numpy()
    for number, row in enumerate(runs.itertuples()):
        rng = np.random.default_rng([7, number])
        skill = 0.0 if row.labels == "permuted" else 3 + 0.5 * np.log(row.fraction) + 0.5 * (row.pretraining != "none")
        latent = (skill + rng.normal(0, 0.1)) * (table["label"] - 0.5) + effect + rng.normal(0, 1, len(table))
        target = folder / row.run
        # Networks answer in float32, so that sure scores tie.
        score = special.expit(latent.to_numpy(np.float32)).astype(float)
        write_predictions(target / "predictions.h5", table["candid"], table["split"], score, {"cell": row.cell})
        sizes = {"n_train_sources": int(40000 * row.fraction), "n_train_alerts": int(800000 * row.fraction)}
        cost = {"wall_seconds": 600.0, "alerts_per_second": 5000.0, "peak_memory_bytes": 2**31, "device": "cpu"}
        axes = {name: getattr(row, name) for name in ("cell", "architecture", "pretraining", "inputs")}
        settings = {"settings": {"training": {"batch_size": 64}}, "versions": {"torch": "0"}}
        write_json(target / "run.json", {**axes, "n_parameters": 1000, "seed": row.seed, **sizes, **cost, **settings})
        epochs = np.arange(1, 26)
        history = {"epoch": epochs, "step": epochs * 100, "learning_rate": 1e-4, "train_loss": 1 / epochs}
        history |= {"val_loss": 1.1 / epochs, "val_auc": 1 - 0.3 / epochs, "seconds": 24.0}
        write_csv(target / "history.csv", pd.DataFrame({**history, "alerts_per_second": 5000.0, "best": 1}))


def timings(runs: pd.DataFrame) -> pd.DataFrame:
    """A timing table of every architecture, as the rule would have measured it."""
    rows, relative = [], {"relative_to_custom": 1.0, "relative_low": 0.9, "relative_high": 1.1}
    for architecture, inputs in runs[["architecture", "inputs"]].drop_duplicates().itertuples(index=False):
        for batch in (1, 8, 64, 256, 1024):
            rate = 1000.0 * batch / (batch + 30)
            row = {"job": f"{architecture}-{inputs}", "architecture": architecture, "inputs": inputs, "batch": batch}
            row |= {"input_size": 63, "device": "a GPU", "repeats": 20, "memory_mb": 10.0 * batch + 4.0}
            row |= {"precision": "fp32", "mode": "eager", "latency_ms": 1e3 * batch / rate, "throughput": rate}
            row |= {"throughput_low": 0.9 * rate, "throughput_high": 1.1 * rate, "peak_memory_mb": 10.0 * batch}
            rows.append(row | {"parameters": 1e6, "gflops": 1.0, "weights_mb": 4.0, **relative})
    return pd.DataFrame(rows)


def study(folder: Path, arguments: argparse.Namespace) -> pd.DataFrame:
    """Generate a finished study in a folder; returns its grid."""
    table = catalogue(arguments.alerts, arguments.per_source, np.random.default_rng(1))
    runs = grid(arguments.cells, arguments.fractions, arguments.seeds)
    make_runs(folder / "runs", table, runs)
    write_catalogue(folder / "catalogue.h5", table.drop(columns="effect"))
    write_csv(folder / "grid.csv", runs)
    write_csv(folder / "timing.csv", timings(runs))
    return runs


def processor_seconds() -> float:
    """Processor time of this process and of its ended children; other work disturbs it less than a clock."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def report(folder: Path, workers: int) -> None:
    """Make the whole report of a study and print what each part took."""
    inputs = {"catalogue": folder / "catalogue.h5", "grid": folder / "grid.csv", "runs": folder / "runs"}
    tables, figures = folder / "tables", folder / "figures"
    parts = {
        "tables": lambda: write_tables(
            **inputs, timing=[folder / "timing.csv"], output=tables, external=["other_score"], workers=workers
        ),
        "figures": lambda: write_figures(tables, figures, catalogue=inputs["catalogue"], workers=workers),
        "page": lambda: write_page(folder / "index.html", study="scale", tables=tables, figures=[figures]),
        "cards": lambda: write_cards(tables, folder / "cards", study="scale"),
        "checklist": lambda: write_checklist(tables, folder / "checklist.md", study="scale"),
    }
    whole, busy = 0.0, processor_seconds()
    for name, make in parts.items():
        start, before = time.perf_counter(), processor_seconds()
        make()
        seconds = time.perf_counter() - start
        whole += seconds
        print(f"{name:10s} {seconds:6.1f} s, {processor_seconds() - before:6.1f} s of processor time", flush=True)
    print(f"{'together':10s} {whole:6.1f} s, {processor_seconds() - busy:6.1f} s of processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name, default in (("cells", 14), ("fractions", 6), ("seeds", 5), ("alerts", 100_000), ("per_source", 20)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="generate the study in this folder, or use the one that is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        kept = (folder / "grid.csv").exists()
        runs = pd.read_csv(folder / "grid.csv") if kept else study(folder, arguments)
        print(f"{len(runs)} runs x {arguments.alerts} test alerts, {arguments.workers} processes")
        report(folder, arguments.workers)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"peak memory {own:.2f} GiB in the parent, {child:.2f} GiB in the largest of the others")


if __name__ == "__main__":
    main()
