"""Columns of every table of the report: their order, unit and meaning."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from . import strata
from .data import SCHEMAS as DATA
from .recorded import TABLES, explained

_KEY = {
    "cell": ("", "architecture-pretraining-inputs[-stamps][-permuted]; an external entrant's name"),
    "fraction": ("", "share of the training sources, in (0, 1]"),
}
_SEED = {"seed": ("", "seed of the run")}
_METRIC = {
    "metric": (
        "",
        "figure of merit; accuracy_1 and accuracy_0 are the accuracies of the two classes; ece is positive by chance "
        "too and has no interval: ece_calibrated is what a calibrated classifier with the same scores would show",
    )
}
_ENDS = {
    "estimate": ("that of the metric", "mean over seeds"),
    "low": ("that of the metric", "lower end of the interval; empty where `method` says that there is none"),
    "high": ("that of the metric", "upper end of the interval; empty where `method` says that there is none"),
}
_LEVEL = {"level": ("", "coverage the interval is made for")}
_DF = ("", "degrees of freedom of Student's t: each part's 1 / df weighted by its share of the variance")
_METHOD = {"method": ("", "how the interval was obtained; with one seed it holds the test sources alone")}
_N_SEEDS = {"n_seeds": ("", "seeds for which the figure is defined")}
_N_SOURCES = {"n_sources": ("sources", "test sources")}
_N_ALERTS = {"n_alerts": ("alerts", "test alerts")}
_AXES = {
    "architecture": ("", "encoder; `external` for another classifier's scores"),
    "pretraining": ("", "where the initial weights come from"),
    "inputs": ("", "image, metadata or fusion"),
    "stamps": ("", "which cutouts the network sees"),
    "labels": ("", "given, or permuted for a control that must not beat chance"),
}

SCHEMAS: dict[str, dict[str, tuple[str, str]]] = {
    "runs": {"run": ("", "folder of the run below runs/"), **_KEY, **_SEED},
    "metrics": {
        **_KEY,
        **_SEED,
        "split": ("", "val or test"),
        "stratum": ("", "all, band=, set= (source set) or mag= (magpsf of the alert)"),
        **_METRIC,
        "value": (
            "that of the metric",
            "empty where the alerts do not define it; precision and MCC are 0 where nothing was predicted positive",
        ),
        "n_alerts": ("alerts", "in the stratum, with a score"),
        "n_sources": ("sources", "in the stratum, with a score"),
        "n_positive": ("alerts", "of label 1 in the stratum"),
        "threshold": ("", "an alert counts as positive above this score; chosen on validation alerts alone"),
        "reason": ("", "why the value is not defined"),
    },
    "performance": {
        **_KEY,
        **_AXES,
        **_METRIC,
        **_ENDS,
        **_LEVEL,
        "se": ("that of the metric", "standard error of the estimate"),
        "df": _DF,
        **_METHOD,
        **_N_SEEDS,
        **_N_SOURCES,
        **_N_ALERTS,
    },
    "differences": {
        "kind": ("", "what is compared: baseline, pretraining, size (of the input), stamps, inputs, external"),
        **_KEY,
        "reference": ("", "cell that is subtracted"),
        **_METRIC,
        "difference": (
            "that of the metric",
            "cell minus reference on the same test sources, mean over the seeds that both have",
        ),
        "low": _ENDS["low"],
        "high": _ENDS["high"],
        **_LEVEL,
        "p": ("", "two-sided p-value of no difference; empty where nothing varies or one seed alone is common to both"),
        "p_holm": ("", "p after Holm's correction over all rows of this metric"),
        "detectable": (
            "that of the metric",
            "smallest true difference that a single test at this level finds with the power configured",
        ),
        "detectable_holm": (
            "that of the metric",
            "the same among all rows of this metric, at the first and strictest step of Holm's correction",
        ),
        "se": ("that of the metric", "standard error of the difference"),
        "df": _DF,
        "n_seeds": ("", "seeds that both have, by which differences are paired"),
        **_N_SOURCES,
        **_METHOD,
    },
    "efficiency": {
        **_KEY,
        "n_train_sources": ("sources", "training sources, mean over runs"),
        "n_train_alerts": ("alerts", "training alerts, mean over runs"),
        **_METRIC,
        **_ENDS,
        **_LEVEL,
        **_METHOD,
        **_N_SEEDS,
        **_N_SOURCES,
        **_N_ALERTS,
    },
    "multiplier": {
        **{"cell": _KEY["cell"]},
        "reference": ("", "the same network without pre-training"),
        **_METRIC,
        "multiplier": ("", "how many times fewer sources match the reference at its largest fraction"),
        "low": ("", "lower end; 0 includes that no fraction measured matches; empty: no interval (see `method`)"),
        "high": ("", "upper end; inf includes that less than the smallest fraction matches; empty: no interval"),
        "status": ("", "reached; at least (the smallest fraction is as good: a lower bound); not reached"),
        **_LEVEL,
        **_METHOD,
        "n_fractions": ("", "training fractions of the cell between which the crossing is looked for"),
        "n_seeds": ("", "seeds common to these fractions and the reference"),
        **_N_SOURCES,
    },
    "policies": {
        **_KEY,
        "policy": ("", "name of the policy"),
        "stratum": ("", "all, or mag= bin of the source's brightest alert"),
        **_METRIC,
        **_ENDS,
        **_LEVEL,
        "n_sources": (
            "sources",
            "that count under the exclusions, in the stratum; of a delay: true ones saved, fewest of a seed",
        ),
        **_N_SEEDS,
        **_METHOD,
    },
    "calibration": {
        **_KEY,
        "bin_low": ("", "lower edge of the score bin"),
        "bin_high": ("", "upper edge of the score bin"),
        "mean_score": ("", "mean score of the alerts in the bin, all seeds"),
        "fraction_positive": ("", "share of label 1 among them"),
        "n_alerts": ("alerts", "in the bin, summed over seeds"),
    },
    "claims": {
        "claim": ("", "number of the claim"),
        "scope": ("", "what part of the grid the row is about"),
        "statement": ("", "the published claim"),
        "source": ("", "where it was published"),
        "quantity": ("", "what was measured"),
        **_ENDS,
        **_LEVEL,
        **_METHOD,
        "n_seeds": ("", "seeds common to the cells it rests on; empty for costs, which come from one measurement"),
        "n_sources": ("sources", "test sources; empty for costs"),
        "verdict": ("", "supported, contradicted, undecided or not measured, by the rules of the configuration"),
        "reason": ("", "why"),
    },
    "history": {
        **_KEY,
        **_SEED,
        "epoch": ("", "1 for the first"),
        "step": ("", "optimizer steps so far"),
        "learning_rate": ("", "at the end of the epoch"),
        "train_loss": ("", "weighted binary cross-entropy"),
        "val_loss": ("", "weighted binary cross-entropy"),
        "val_auc": ("", "ROC AUC of the validation alerts"),
        "seconds": ("s", "wall time of the epoch"),
        "alerts_per_second": ("1/s", "training alerts per second"),
        "best": ("", "1 where the weights were kept"),
    },
    "timing": {
        "job": ("", "network that the job is about; its rows are of that network and of the custom CNN beside it"),
        "architecture": _AXES["architecture"],
        "inputs": _AXES["inputs"],
        "input_size": ("pixels", "side of the image the encoder sees"),
        "device": ("", "name of the device"),
        "precision": ("", "fp32 or bf16"),
        "mode": ("", "eager or compiled"),
        "batch": ("alerts", "batch size"),
        "repeats": ("", "measured calls; 0 where there was no room, nothing compiles it, or one call takes too long"),
        "latency_ms": ("ms", "median time of one batch"),
        "throughput": ("1/s", "alerts per second, from the median"),
        "throughput_low": ("1/s", "from the upper quartile of the times"),
        "throughput_high": ("1/s", "from the lower quartile of the times"),
        "peak_memory_mb": (
            "MiB",
            "peak beyond what was held before the call, greatest of two calls; no weights",
        ),
        "memory_mb": ("MiB", "weights_mb and peak_memory_mb: what must fit, and what claim 3 is judged by"),
        "parameters": ("", "number of parameters"),
        "gflops": ("1e9", "floating-point operations per alert, forward"),
        "weights_mb": ("MiB", "size of parameters and buffers"),
        "relative_to_custom": (
            "",
            "throughput over that of the custom CNN, measured in turns in the same job: median of the turns",
        ),
        "relative_low": ("", "lower end of a 95 % interval of that median by order statistics; the least of below 6"),
        "relative_high": ("", "upper end of it; the greatest of below 6"),
    },
    "machines": {
        "job": ("", "as in timing.csv; values are as they were after that job measured"),
        "device": ("", "name of the device"),
        "type": ("", "cpu or cuda"),
        "threads": ("", "CPU threads"),
        "cpu_mhz": ("MHz", "mean clock of the cores"),
        "driver": ("", "version of the GPU driver"),
        "sm_mhz": ("MHz", "clock of the GPU's processors"),
        "max_sm_mhz": ("MHz", "highest clock of the GPU's processors"),
        "memory_mhz": ("MHz", "clock of the GPU's memory"),
        "power_limit_w": ("W", "power limit of the GPU"),
        "torch": ("", "version"),
        "cuda": ("", "version"),
        "cudnn": ("", "version"),
        "python": ("", "version"),
        "platform": ("", "operating system"),
    },
    "training_cost": {
        "kind": ("", "run, or pre-training of an encoder that runs start from; trials of searches are not in it"),
        "cell": ("", "architecture-pretraining-inputs[-stamps][-permuted]; an encoder's architecture-pretraining"),
        "fraction": ("", "share of the training sources, in (0, 1]; empty for an encoder"),
        "n_runs": ("", "runs with a record"),
        "wall_seconds": ("s", "median over runs"),
        "alerts_per_second": ("1/s", "median over runs, all devices of a run together"),
        "gpu_hours": ("h", "sum over the runs on a GPU; of each GPU that shares a run"),
        "peak_memory_mb": ("MiB", "median over runs"),
        "energy_wh": ("Wh", "sum over the runs that could read it; of whole devices, work beside the run included"),
        "n_energy": ("", "runs that could read their energy; resumed ones cannot"),
        "energy_of": ("", "counters that were read"),
    },
    **DATA,
    **strata.SCHEMAS,
    "missing": {
        "run": ("", "run, pre-training (encoders/), search of settings (tuning/), or input of the report"),
        "what": ("", "run, encoder, search or input"),
        "reason": ("", "how it stands, and the last line of its log; or what is missing or damaged"),
        "log": ("", "log of its last job"),
    },
    "encoders": {
        "encoder": ("", "name of the encoder"),
        "architecture": _AXES["architecture"],
        "pretraining": _AXES["pretraining"],
        **_METRIC,
        "value": ("that of the metric", "measured by the pre-training"),
    },
    **TABLES,
}


def ordered(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns in the order of `SCHEMAS`, empty where absent; further columns come last.

    Efficiency alone keeps none, since it is made from another table.
    """
    known = list(SCHEMAS[table])
    further = [] if table == "efficiency" else [name for name in frame if name not in known]
    return frame.reindex(columns=known + further)


def data_dictionary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Unit and meaning of every column of every table."""
    rows = []
    for table, frame in tables.items():
        for column in frame:
            unit, meaning = SCHEMAS[table].get(column) or explained(column)
            rows.append((table, column, unit, meaning))
    return pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])
