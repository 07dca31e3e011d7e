"""What the figures and the page call things: metrics, cells, fractions, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from .style import Skip

METRICS = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "accuracy_1": "accuracy, label 1",
    "accuracy_0": "accuracy, label 0",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "mcc": "MCC",
    "brier": "Brier score",
    "ece": "ECE",
    "r2": "R²",
    "ece_calibrated": "ECE by chance",
    "completeness": "completeness",
    "purity": "purity",
    "delay_days": "delay (days)",
    "delay_from_peak_days": "save minus peak (days)",
}
PRIMARY = ("roc_auc", "average_precision")


def metric_label(metric: str) -> str:
    """Metric as printed."""
    return METRICS.get(metric, metric.replace("_", " "))


def metric_title(metric: str) -> str:
    """Metric as printed at an axis, with a capital."""
    label = metric_label(metric)
    return label[:1].upper() + label[1:]


def choose_metrics(frame: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Those of the wanted metrics that the table has; where it has none of them, its first two."""
    present = list(dict.fromkeys(frame["metric"]))
    return [metric for metric in wanted if metric in present] or present[:2]


def need(tables: Mapping[str, pd.DataFrame], name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Fetch a table, or skip the figure.

    Raises
    ------
    Skip
        The table is missing, empty, or lacks a column.
    """
    frame = tables.get(name)
    if frame is None:
        raise Skip(f"table {name}.csv is missing")
    absent = [column for column in columns if column not in frame]
    if absent:
        raise Skip(f"table {name}.csv has no column {', '.join(absent)}")
    if frame.empty:
        raise Skip(f"table {name}.csv is empty")
    return frame


def parse_cell(cell: str) -> dict[str, str]:
    """Axes of a cell from its name `{architecture}-{pretraining}-{inputs}[-{stamps}][-permuted]`.

    A name without two hyphens is an external entrant: it becomes the architecture, the other axes stay empty.
    """
    parts = cell.split("-")
    if len(parts) < 3:
        return {"architecture": cell, "pretraining": "", "inputs": "", "stamps": "", "labels": "given"}
    labels = "permuted" if parts[-1] == "permuted" else "given"
    stamps = [part for part in parts[3:] if part != "permuted"]
    axes = dict(zip(("architecture", "pretraining", "inputs"), parts, strict=False))
    return {**axes, "stamps": stamps[0] if stamps else "all", "labels": labels}


def with_axes(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the axes of the grid to a table that has only `cell`; columns already there stay."""
    axes = pd.DataFrame([parse_cell(cell) for cell in frame["cell"]], index=frame.index)
    return frame.assign(**{name: axes[name] for name in axes if name not in frame})


def is_control(cell: str) -> bool:
    """Whether a cell was trained on permuted labels."""
    return parse_cell(cell)["labels"] == "permuted"


def largest(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of each cell's largest training fraction."""
    return frame[frame["fraction"].isna() | (frame["fraction"] == frame.groupby("cell")["fraction"].transform("max"))]


def ranked_cells(frame: pd.DataFrame, metric: str) -> list[str]:
    """Cells by their estimate of the metric at their largest fraction, best first; controls last."""
    rows = largest(frame[frame["metric"] == metric]).sort_values("estimate", ascending=False, kind="stable")
    cells = list(dict.fromkeys([*rows["cell"], *frame["cell"]]))
    return sorted(cells, key=is_control)


# How `leaders` chooses, in words for captions; by validation, so that the choice says nothing of the test.
LEADERS = "the best cell of each architecture by validation ROC AUC, then the best of the rest"


def leaders(tables: Mapping[str, pd.DataFrame], cells: Sequence[str], count: int) -> list[str]:
    """At most `count` of the cells: the best of each architecture first, then the best of the rest; no controls.

    The best have the greatest mean val_auc of runs.csv at their largest fraction; cells without one (external
    entrants) come last, in the order given.
    """
    wanted = [cell for cell in dict.fromkeys(cells) if not is_control(cell)]
    runs = tables.get("runs")
    if runs is not None and {"cell", "fraction", "val_auc"} <= set(runs):
        known = largest(runs).groupby("cell", sort=False)["val_auc"].mean().dropna()
        order = [cell for cell in known.sort_values(ascending=False, kind="stable").index if cell in wanted]
        wanted = order + [cell for cell in wanted if cell not in order]
    firsts = list({parse_cell(cell)["architecture"]: cell for cell in reversed(wanted)}.values())
    chosen = sorted(firsts, key=wanted.index)[:count]
    chosen += [cell for cell in wanted if cell not in chosen][: count - len(chosen)]
    return sorted(chosen, key=wanted.index)


def fraction_label(fraction: float) -> str:
    """Training fraction as a percentage."""
    return f"{100 * fraction:g} %"


def span(values: pd.Series, noun: str) -> str:
    """A count as "5 seeds" or, where it varies, "2 to 5 seeds"; empty when unknown."""
    known = values.dropna()
    if known.empty:
        return ""
    low, high = int(known.min()), int(known.max())
    text = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{text} {noun[:-1] if high == 1 else noun}"


def interval_words(frame: pd.DataFrame) -> str:
    """Level and commonest method of the intervals of a table."""
    if "low" in frame:
        frame = frame[frame["low"].notna()]
    levels = sorted(set(frame["level"].dropna())) if "level" in frame else []
    methods = list(frame["method"].dropna().value_counts().index) if "method" in frame else []
    text = " and ".join(f"{100 * level:g} %" for level in levels)
    text = f"{text} intervals" if text else "intervals"
    if methods:
        rest = ", or as the table says" if len(methods) > 1 else ""
        text += f" ({methods[0]}{rest}{one_seed_words(methods, 1)})"
    return text


def one_seed_words(methods: Sequence[str], named: int) -> str:
    """What must be said of intervals of one seed where the first methods, which are named, are others."""
    lone = ["one seed" in method for method in methods]
    return "; where there is one seed, of the test sources alone" if any(lone) and not any(lone[:named]) else ""


def sample_words(frame: pd.DataFrame) -> str:
    """Numbers of seeds, sources and alerts behind a table, for a caption."""
    names = {"n_seeds": "seeds", "n_sources": "test sources", "n_alerts": "test alerts"}
    parts = [span(frame[column], noun) for column, noun in names.items() if column in frame]
    return ", ".join(part for part in parts if part)
