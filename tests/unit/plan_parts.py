"""A small study for tests of the plan: its alerts, its rates on a GPU, and runs as tasks."""

from dataclasses import asdict

import pandas as pd
from alertgrid.grid import cell_name
from alertgrid.plan.estimate import estimate
from alertgrid.plan.work import trainings

ALERTS = {"train": 1000, "val": 100, "test": 200}


def rates(*rows):
    """A small table of rates on a GPU."""
    columns = ["architecture", "inputs", "device", "ms_per_alert", "parameters", "kind", "source"]
    return pd.DataFrame([[*row, f"source of {row[0]}"] for row in rows], columns=columns)


RATES = rates(
    ("convnext_pico", "image", "cuda", 3.0, 1000, "measured"),
    ("metadata_net", "metadata", "cuda", 0.5, 10, "measured"),
    ("*", "fusion", "cuda", 1.0, 20, "measured"),
    ("*", "image", "cuda", 30.0, 2000, "guess"),
)

IMAGE = ("convnext_pico-none-image/f0.5/s0", "convnext_pico", "image", 0.5, 10)
FUSION = ("convnext_pico-none-fusion/f0.5/s0", "convnext_pico", "fusion", 0.5, 10)
OTHER = ("resnet18-none-image/f1/s0", "resnet18", "image", 1.0, 1)


def runs(*rows, alerts=ALERTS, training=None, models=None, devices=1):
    """Runs of a grid, each with its own epochs, as tasks; each is a job."""
    tasks = []
    for run, architecture, inputs, fraction, epochs in rows:
        cell = cell_name(architecture, "none", inputs)
        line = {"run": run, "cell": cell, "pack": run, "architecture": architecture, "pretraining": "none"}
        grid = pd.DataFrame([{**line, "inputs": inputs, "fraction": fraction}])
        settings = {"training": {"epochs": epochs, **(training or {})}, "models": models or {}}
        tasks += map(asdict, trainings(settings, grid, alerts, devices))
    return pd.DataFrame(tasks)


def total(alerts):
    """Number of alerts in all parts."""
    return sum(alerts.values())


def seconds(row, **settings):
    """Estimated seconds of a single run on a GPU."""
    return estimate(runs(row, **settings), alerts=total(ALERTS), rates=RATES).tasks["hours"].iloc[0] * 3600


def record(run, seconds=3600.0, rate=100.0):
    """What plan reads of a run.json."""
    parts = dict(zip(("architecture", "pretraining", "inputs"), run.split("/")[0].split("-"), strict=True))
    return {**parts, "wall_seconds": seconds, "alerts_per_second": rate, "n_parameters": 7, "device": "cuda:0"}
