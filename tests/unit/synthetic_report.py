"""A small finished study as its report tables, catalogue and dataset would look: for the tests of figures and page."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from alertgrid.columns import METADATA_COLUMNS, SOURCE_SETS
from alertgrid.tables.records import flatten
from synthetic_record import record

CELLS = {
    "btsbot_cnn-none-image": (0.93, 2.3e5),
    "btsbot_cnn-none-fusion": (0.95, 2.9e5),
    "convnext_pico-none-image": (0.92, 8.7e6),
    "convnext_pico-galaxies-image": (0.945, 8.7e6),
    "convnext_pico-galaxies-image-science_template": (0.88, 8.7e6),
    "convnext_pico-galaxies-fusion": (0.965, 8.8e6),
    "maxvit_tiny-none-image": (0.915, 2.87e7),
    "maxvit_tiny-galaxies-fusion": (0.96, 2.88e7),
    "metadata_net-none-metadata": (0.90, 2.1e4),
    "convnext_pico-galaxies-image-permuted": (0.49, 8.7e6),
}
FRACTIONS = (0.1, 0.3, 1.0)
SEEDS = (0, 1, 2)
METRICS = ("roc_auc", "average_precision")
POLICIES = ("bts_p1", "bts_p2", "prod_p1", "prod_p2")


def _axes(cell: str) -> dict[str, str]:
    parts = cell.split("-")
    stamps = "science_template" if "science_template" in parts else "all"
    labels = "permuted" if parts[-1] == "permuted" else "given"
    names = ("architecture", "pretraining", "inputs")
    return {**dict(zip(names, parts[:3], strict=True)), "stamps": stamps, "labels": labels}


def _estimate(cell: str, fraction: float, metric: str) -> float:
    base = CELLS[cell][0] if metric == "roc_auc" else CELLS[cell][0] - 0.12
    return base if "permuted" in cell else base - 0.03 * np.log10(1 / fraction)


def _grid():
    for cell, fraction in product(CELLS, FRACTIONS):
        if "permuted" not in cell or fraction == 1.0:
            yield cell, fraction


def performance() -> pd.DataFrame:
    rows = []
    for (cell, fraction), metric in product(_grid(), METRICS):
        value, half = _estimate(cell, fraction, metric), 0.012 + 0.008 * (1 - fraction)
        rows.append({"cell": cell, **_axes(cell), "fraction": fraction, "metric": metric, "estimate": value})
        rows[-1].update(low=value - half, high=min(value + half, 1), level=0.95, method="seeds and cluster bootstrap")
        rows[-1].update(n_seeds=len(SEEDS), n_sources=420, n_alerts=6120)
    for metric in METRICS:
        blank = dict.fromkeys(("pretraining", "inputs", "stamps", "labels"), "")
        rows.append({"cell": "btsbot_v101_score", "architecture": "external", **blank, "fraction": np.nan})
        rows[-1].update(metric=metric, estimate=0.955, low=0.94, high=0.97, level=0.95, method="cluster bootstrap")
        rows[-1].update(n_seeds=1, n_sources=420, n_alerts=6120)
    return pd.DataFrame(rows)


def differences() -> pd.DataFrame:
    pairs = [("baseline", cell, "btsbot_cnn-none-image") for cell in CELLS if "permuted" not in cell][1:]
    pairs.append(("pretraining", "convnext_pico-galaxies-image", "convnext_pico-none-image"))
    pairs.append(("stamps", "convnext_pico-galaxies-image-science_template", "convnext_pico-galaxies-image"))
    pairs.append(("inputs", "convnext_pico-galaxies-fusion", "convnext_pico-galaxies-image"))
    pairs.append(("inputs", "btsbot_cnn-none-fusion", "btsbot_cnn-none-image"))
    rows = []
    for (kind, cell, reference), fraction, metric in product(pairs, FRACTIONS, METRICS):
        value = _estimate(cell, fraction, metric) - _estimate(reference, fraction, metric)
        rows.append({"kind": kind, "cell": cell, "reference": reference, "fraction": fraction, "metric": metric})
        rows[-1].update(difference=value, low=value - 0.015, high=value + 0.015, level=0.95, p=0.01)
        rows[-1].update(
            p_holm=0.001 if abs(value) > 0.018 else 0.4, detectable=0.02, detectable_holm=0.03, n_seeds=3, n_sources=420
        )
    return pd.DataFrame(rows)


def efficiency() -> pd.DataFrame:
    rows = []
    for (cell, fraction), metric in product(_grid(), METRICS):
        value = _estimate(cell, fraction, metric)
        rows.append({"cell": cell, "fraction": fraction, "n_train_sources": round(3400 * fraction)})
        rows[-1].update(n_train_alerts=round(51000 * fraction), metric=metric, estimate=value, low=value - 0.015)
        rows[-1].update(high=value + 0.015, level=0.95, method="cluster bootstrap", n_seeds=3, n_sources=420)
    return pd.DataFrame(rows)


def multiplier() -> pd.DataFrame:
    table = pd.DataFrame(
        [
            ("convnext_pico-galaxies-image", "convnext_pico-none-image", "roc_auc", 3.2, 1.8, 6.0, "reached"),
            ("maxvit_tiny-galaxies-image", "maxvit_tiny-none-image", "roc_auc", np.nan, 0.0, 0.9, "not reached"),
        ],
        columns=["cell", "reference", "metric", "multiplier", "low", "high", "status"],
    )
    return table.assign(level=0.95, method="percentiles of a bootstrap", n_fractions=3, n_seeds=3, n_sources=420)


def policies() -> pd.DataFrame:
    bins = [f"mag={low:.2f}-{low + 0.25:.2f}" for low in np.arange(17, 18.5, 0.25)]
    rows = []
    for cell, policy, (i, stratum) in product(CELLS, POLICIES, enumerate(["all", *bins])):
        for metric in ("completeness", "purity"):
            value = CELLS[cell][0] - 0.02 * i - 0.03 * POLICIES.index(policy)
            rows.append((cell, 1.0, policy, stratum, metric, value, value - 0.05, min(value + 0.05, 1), 420, 3))
        if stratum == "all":
            rows.append((cell, 1.0, policy, stratum, "delay_days", 4.1, 3.0, 5.5, 120, 3))
            rows.append((cell, 1.0, policy, stratum, "delay_from_peak_days", -6.0, -8.0, -4.1, 120, 3))
    names = ["cell", "fraction", "policy", "stratum", "metric", "estimate", "low", "high", "n_sources", "n_seeds"]
    return pd.DataFrame(rows, columns=names).assign(level=0.95, method="cluster bootstrap")


def calibration() -> pd.DataFrame:
    rows = []
    for cell, low in product(CELLS, np.arange(0, 1, 0.1)):
        middle, count = low + 0.05, int(4000 * (low - 0.5) ** 2 + 30)
        rows.append((cell, 1.0, low, low + 0.1, middle, middle**1.3 * CELLS[cell][0], count))
    names = ["cell", "fraction", "bin_low", "bin_high", "mean_score", "fraction_positive", "n_alerts"]
    return pd.DataFrame(rows, columns=names)


def strata() -> pd.DataFrame:
    names = ["band=g", "band=r", *(f"set={name}" for name in SOURCE_SETS)]
    names += [f"mag={low:.2f}-{low + 0.25:.2f}" for low in np.arange(17, 20, 0.25)]
    rows = []
    for cell, (i, stratum), metric in product(CELLS, enumerate(names), ("roc_auc", "accuracy")):
        value = CELLS[cell][0] - 0.01 * i
        rows.append(
            (cell, 1.0, stratum, metric, value, value - 0.05, min(value + 0.05, 1), 0.95, "bootstrap", 3, 40, 90)
        )
    names = ["cell", "fraction", "stratum", "metric", "estimate", "low", "high", "level", "method"]
    return pd.DataFrame(rows, columns=[*names, "n_seeds", "n_sources", "n_alerts"])


def magnitude_scores() -> pd.DataFrame:
    rows = []
    for cell, low, label in product(CELLS, np.arange(17, 20, 0.25), (0, 1)):
        score = 0.5 + (label - 0.5) * (CELLS[cell][0] - 0.1 * (low - 17))
        rows.append(
            (cell, 1.0, f"mag={low:.2f}-{low + 0.25:.2f}", label, score - 0.1, score, score + 0.1, score, 3, 20, 45)
        )
    names = ["cell", "fraction", "stratum", "label", "score_low", "score", "score_high", "called_positive"]
    return pd.DataFrame(rows, columns=[*names, "n_seeds", "n_sources", "n_alerts"])


def claims() -> pd.DataFrame:
    rows = [
        (
            "architectures",
            "Standard architectures match or beat the custom CNN",
            "arXiv 2512.11957",
            "ROC AUC difference",
        ),
        ("cost", "Standard architectures need less time and memory", "arXiv 2512.11957", "throughput ratio"),
        ("difference image", "Dropping the difference image costs accuracy", "arXiv 2203.07390", "accuracy difference"),
    ]
    values = [
        (0.015, 0.002, 0.028, "supported"),
        (0.4, 0.3, 0.5, "contradicted"),
        (np.nan, np.nan, np.nan, "undecided"),
    ]
    names = ["claim", "statement", "source", "quantity", "estimate", "low", "high", "verdict", "reason"]
    reason = "the interval lies above zero; rule: lower end > 0"
    return pd.DataFrame([(*row, *value, reason) for row, value in zip(rows, values, strict=True)], columns=names)


def _record(cell: str, fraction: float, seed: int) -> dict:
    return record(cell, _axes(cell), CELLS[cell][1], fraction, seed)


def runs() -> pd.DataFrame:
    made = [(*key, seed) for key, seed in product(_grid(), SEEDS)]
    table = pd.DataFrame([{"run": "{}/f{:g}/s{}".format(*run), **flatten(_record(*run))} for run in made])
    return table.assign(val_auc=[_estimate(cell, fraction, "roc_auc") + 0.01 for cell, fraction, _ in made])


def history() -> pd.DataFrame:
    rows = []
    for (cell, fraction), seed, epoch in product(_grid(), SEEDS, range(1, 13)):
        loss = 0.2 + 0.5 * np.exp(-epoch / 3) + 0.01 * seed + 0.05 * (1 - fraction)
        rows.append({"cell": cell, "fraction": fraction, "seed": seed, "epoch": epoch, "step": 100 * epoch})
        rows[-1].update(learning_rate=1e-4, train_loss=loss - 0.05, val_loss=loss + 0.002 * (epoch - 7) ** 2)
        rows[-1].update(val_auc=CELLS[cell][0] - 0.2 * np.exp(-epoch / 3), seconds=60.0, alerts_per_second=940.0)
        rows[-1].update(best=int(epoch == 7))
    return pd.DataFrame(rows)


def timing() -> pd.DataFrame:
    speeds = {
        "btsbot_cnn": (9000, 0.23),
        "convnext_pico": (14000, 8.7),
        "maxvit_tiny": (900, 28.7),
        "metadata_net": (2e5, 0.02),
    }
    ways = (("fp32", "eager"), ("bf16", "compiled"))
    rows = []
    for name, (device, slow), (precision, mode), batch in product(
        speeds, (("Tesla T4", 1), ("CPU, 4 threads", 60)), ways, (1, 16, 64, 256)
    ):
        speed, millions = speeds[name]
        rate = speed / slow * batch / (batch + 30) * (2 if precision == "bf16" else 1)
        for inputs in ("image", "fusion") if name != "metadata_net" else ("metadata",):
            rows.append({"job": f"{name}-{inputs}", "architecture": name, "inputs": inputs, "input_size": 63})
            rows[-1].update(device=device, mode=mode, repeats=20, relative_low=1.1, relative_high=1.3)
            rows[-1].update(memory_mb=60 + millions * 12)
            rows[-1].update(precision=precision, batch=batch, latency_ms=1e3 * batch / rate, throughput=rate)
            rows[-1].update(throughput_low=0.95 * rate, throughput_high=1.05 * rate, peak_memory_mb=60 + millions * 8)
            rows[-1].update(
                parameters=1e6 * millions, gflops=millions / 5, weights_mb=4 * millions, relative_to_custom=1.2
            )
    return pd.DataFrame(rows)


def machines() -> pd.DataFrame:
    rows = []
    for job in timing()["job"].unique():
        rows.append({"job": job, "device": "CPU, 4 threads", "type": "cpu", "threads": 4, "cpu_mhz": 2600.0})
        rows.append({"job": job, "device": "Tesla T4", "type": "cuda", "threads": 4, "cpu_mhz": 2600.0})
        rows[-1].update(driver="550.54.15", sm_mhz=1590, max_sm_mhz=1590, torch="2.11.0")
    return pd.DataFrame(rows)


def training_cost() -> pd.DataFrame:
    rows = [(cell, fraction, 3, 812.5 * fraction, 940.0, 0.7 * fraction, 1150.0) for cell, fraction in _grid()]
    names = ["cell", "fraction", "n_runs", "wall_seconds", "alerts_per_second", "gpu_hours", "peak_memory_mb"]
    return pd.DataFrame(rows, columns=names)


def missing() -> pd.DataFrame:
    run = "maxvit_tiny-galaxies-image/f1/s0"
    rows = [
        (run, "run", "failed after epoch 3: CUDA out of memory", f"results/demo/logs/train/{run}.log"),
        ("timing: maxvit_tiny.csv", "input", "cannot be read (no column batch)", np.nan),
    ]
    return pd.DataFrame(rows, columns=["run", "what", "reason", "log"])


def dataset_missing() -> pd.DataFrame:
    shares = [0.12 if name.startswith("sg") else 0.003 if name.startswith("dist") else 0.0 for name in METADATA_COLUMNS]
    return pd.DataFrame({"column": METADATA_COLUMNS, "fraction_missing": shares})


TABLES = {
    maker.__name__: maker
    for maker in (
        performance, differences, efficiency, multiplier, policies, strata, magnitude_scores, calibration, claims,
        runs, history, timing, machines, training_cost, missing, dataset_missing,
    )
}  # fmt: skip


def write_tables(folder: Path) -> Path:
    """Write all tables as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, maker in TABLES.items():
        maker().to_csv(folder / f"{name}.csv", index=False)
    return folder
