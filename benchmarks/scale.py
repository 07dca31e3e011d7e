"""What the study costs at 1 million and 100 million alerts: arithmetic on known rates, the tables of docs/scale.md.

    PYTHONPATH=workflow python benchmarks/scale.py

Rates of training are those of workflow/alertgrid/plan/rates.csv, each marked as measured or guessed there. Rates of
storage and inference below were measured on two CPU cores (Zen 4, torch 2.15), the file in memory or dropped from it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

ALERTS = {"1 million": 1e6, "100 million": 1e8}
NIGHT, NIGHT_HOURS = 1e7, 10.0  # alerts of LSST in a night
STAMP_BYTES = 3 * 63 * 63 * 2  # float16
ROW_BYTES = 25 * 4 + 250  # metadata and catalogue columns
TRAIN, EPOCHS, SEEDS = 0.81, 25, 5
FRACTIONS = (0.01, 0.03, 0.1, 0.3, 1.0)
# Image cells of the study `btsbot`: network -> pre-trainings.
CELLS = {"btsbot_cnn": 1, "convnext_pico": 3, "maxvit_tiny": 3, "maxvit_tiny@224": 3}
# Alerts per second, measured: random batches of the mapped file, one pass over it, inference in bf16 at batch 64.
READS = {"random, warm": 475e3, "random, cold": 14.4e3, "one pass, cold": 109e3}
INFERENCE = {"btsbot_cnn": 710, "convnext_pico": 1125, "maxvit_tiny@224": 15}


def rates() -> pd.DataFrame:
    """Milliseconds per training alert by network and device."""
    path = Path(__file__).parents[1] / "workflow" / "alertgrid" / "plan" / "rates.csv"
    return (
        pd.read_csv(path)
        .query("inputs == 'image'")
        .pivot(index="architecture", columns="device", values=["ms_per_alert", "kind"])
    )


def number(value: float) -> str:
    """Three significant digits at most."""
    return (
        f"{value:,.0f}" if abs(value) >= 100 else f"{float(np.format_float_positional(value, 2, fractional=False)):g}"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def storage() -> str:
    """Disk and memory."""
    rows = [
        ["stamps on disk (GB)", *(number(n * STAMP_BYTES / 1e9) for n in ALERTS.values())],
        ["catalogue and metadata (GB)", *(number(n * ROW_BYTES / 1e9) for n in ALERTS.values())],
        [
            "training stamps, if resident on the GPU (GB)",
            *(number(TRAIN * n * STAMP_BYTES / 1e9) for n in ALERTS.values()),
        ],
        ["one cold pass over all stamps (h)", *(number(n / READS["one pass, cold"] / 3600) for n in ALERTS.values())],
        [
            "one epoch of cold random batches (h)",
            *(number(TRAIN * n / READS["random, cold"] / 3600) for n in ALERTS.values()),
        ],
    ]
    return table(["", *ALERTS], rows)


def training() -> str:
    """Hours of one run with all training objects, and of the image cells of the study."""
    found, rows = rates(), []
    for network, starts in CELLS.items():
        cuda, cpu = (found.loc[network, ("ms_per_alert", device)] for device in ("cuda", "cpu"))
        hours = [TRAIN * n * EPOCHS * float(cuda) / 3.6e6 for n in ALERTS.values()]
        study = [value * starts * SEEDS * sum(FRACTIONS) for value in hours]
        marks = [found.loc[network, ("kind", device)] for device in ("cuda", "cpu")]
        rows.append(
            [network, f"{float(cuda) * 1e3:g} ({marks[0]})", f"{float(cpu) * 1e3:,.0f} ({marks[1]})"]
            + [number(value) for value in (*hours, *study)]
        )
    head = ["network", "GPU, us per alert", "2 CPU cores, us per alert"]
    head += [f"one run, {name} (GPU-h)" for name in ALERTS] + [f"study, {name} (GPU-h)" for name in ALERTS]
    return table(head, rows)


def feeding() -> str:
    """Stamps that one GPU asks for while it trains."""
    found, rows = rates(), []
    for network in CELLS:
        rate = 1e3 / float(found.loc[network, ("ms_per_alert", "cuda")])
        rows.append([network, number(rate), number(rate * STAMP_BYTES / 1e9)])
    return table(["network", "alerts/s (guess)", "GB/s from storage unless resident"], rows)


def nights() -> str:
    """Scoring the alerts of one night."""
    wanted = NIGHT / NIGHT_HOURS / 3600
    rows = [
        [network, f"{rate:,}", number(NIGHT / rate / 3600), number(2 * wanted / rate)]
        for network, rate in INFERENCE.items()
    ]
    return table(["network", "alerts/s on 2 cores (measured)", "hours for a night's alerts", "cores to keep up"], rows)


TABLES = {"storage": storage, "training": training, "feeding": feeding, "nights": nights}

if __name__ == "__main__":
    print("\n\n".join(make() for make in TABLES.values()))
