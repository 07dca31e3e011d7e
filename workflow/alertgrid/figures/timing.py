"""What does a score cost? Accuracy against throughput and memory, and throughput against the batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..timing.results import one_measurement
from .style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    Drawing,
    Skip,
    colour_map,
    count_axis,
    finish,
    handle,
    house_style,
    line_map,
    marker_map,
    new_figure,
)
from .words import choose_metrics, interval_words, largest, metric_title, need, sample_words, span

_KEY = ["architecture", "inputs", "device", "precision", "mode"]
_AREA = (18.0, 110.0)  # points squared, smallest and largest mark
_STEP = 1.18  # factor between the marks of one network


def accuracy_cost(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """One figure per device: accuracy against throughput and memory, mark size by parameters."""
    timing = need(tables, "timing", ("job", *_KEY, "batch", "throughput", "memory_mb", "parameters"))
    columns = ("cell", "architecture", "inputs", "pretraining", "stamps", "labels", "metric", "estimate", "fraction")
    scores = need(tables, "performance", columns)
    metric = choose_metrics(scores, metrics)[0]
    # Networks are timed with three cutouts (see `subjects`), so cost is shown for those that see all of them.
    fair = (scores["metric"] == metric) & (scores["labels"] != "permuted") & scores["stamps"].isin(["all", ""])
    joined = largest(scores[fair]).merge(best_batch(timing), on=["architecture", "inputs"])
    if joined.empty:
        raise Skip("timing.csv and performance.csv have no architecture in common")
    for device, rows in joined.groupby("device", sort=False):
        name = re.sub(r"[^a-z0-9]+", "_", str(device).lower()).strip("_")
        with house_style():
            page, column = (_cost_panels(rows, metric, narrow) for narrow in (False, True))
            title, caption = f"Accuracy and cost: {device}", _cost_caption(rows, metric)
            yield Drawing(f"accuracy_cost_{name}", page, title, caption, column)


def best_batch(timing: pd.DataFrame) -> pd.DataFrame:
    """Row of the highest throughput of each network and device, fp32 and eager where that was measured."""
    timing = one_measurement(timing)
    plain = timing[(timing["precision"] == "fp32") & (timing["mode"] == "eager")]
    timing = plain if len(plain) else timing
    best = timing.groupby(["architecture", "inputs", "device"], sort=False)["throughput"].idxmax().dropna()
    return timing.loc[best]


def _cost_panels(table: pd.DataFrame, metric: str, narrow: bool):
    """Throughput on the left, memory on the right; in one column above and below."""
    memory = int(table["memory_mb"].notna().any())
    panels = [("throughput", "Throughput (alerts/s)")] + [("memory_mb", "Memory (MiB)")] * memory
    colours = colour_map(sorted(set(table["architecture"])))
    markers = marker_map(dict.fromkeys(table["pretraining"]))
    figure = new_figure(COLUMN_WIDTH, 1.0 + 2.1 * len(panels)) if narrow else new_figure(PAGE_WIDTH, 2.9)
    shape = (len(panels), 1) if narrow else (1, len(panels))
    grid = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
    area, apart = _areas(table["parameters"]), _apart(table)
    for axes, (column, label) in zip(grid, panels, strict=True):
        for (_, row), size, shift in zip(table.iterrows(), area, apart, strict=True):
            _cost_mark(axes, row, row[column] * shift, size, colours[row["architecture"]], markers[row["pretraining"]])
        _log_axis(axes, label)
    for axes in grid if narrow else grid[:1]:
        axes.set_ylabel(metric_title(metric))
    entries = [handle(name, color=colour, marker="o") for name, colour in colours.items()]
    entries += [handle(f"pre-training: {name}", color="0.3", marker=mark) for name, mark in markers.items()]
    looks = {"image only": {}, "with metadata": {"markerfacecolor": "white"}}
    image = table["inputs"] == "image"
    shown = [name for name, drawn in zip(looks, (image, ~image), strict=True) if drawn.any()]
    entries += [handle(name, color="0.3", marker="o", **looks[name]) for name in shown]
    figure.legend(handles=entries, loc="outside lower center", ncols=2 if narrow else 4)
    return figure


def _areas(parameters: pd.Series) -> np.ndarray:
    """Mark areas, linear in the logarithm of the number of parameters."""
    logs = np.log10(parameters.to_numpy(float))
    low, high = np.nanmin(logs), np.nanmax(logs)
    place = (logs - low) / (high - low) if high > low else np.full(len(logs), 0.5)
    return _AREA[0] + np.nan_to_num(place) * (_AREA[1] - _AREA[0])


def _apart(table: pd.DataFrame) -> np.ndarray:
    """Factors that set the marks of one network side by side: whatever it was pre-trained on, it costs the same."""
    groups = table.groupby(["architecture", "inputs"])["cell"]
    places, sizes = groups.cumcount().to_numpy(), groups.transform("size").to_numpy()
    return _STEP ** (places - (sizes - 1) / 2)


def _cost_mark(axes: Axes, row: pd.Series, x: float, size: float, colour: str, marker: str) -> None:
    """One cell; filled for image networks, open for the others, so that three facts fit into one mark."""
    image = row["inputs"] == "image"
    if {"low", "high"} <= set(row.index):
        axes.vlines(x, row["low"], row["high"], color=colour, linewidth=0.8, zorder=1)
    # A white rim keeps marks of equal cost and nearly equal accuracy apart.
    looks = {"facecolor": colour, "edgecolor": "white"} if image else {"facecolor": "white", "edgecolor": colour}
    axes.scatter(x, row["estimate"], s=size, marker=marker, linewidth=0.9, zorder=3, **looks)


def _log_axis(axes: Axes, label: str) -> None:
    """Logarithmic axis with plain numbers: at the decades, and at 2 and 5 where there is room."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5), numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    axes.set_xlabel(label)
    finish(axes)


def _cost_caption(table: pd.DataFrame, metric: str) -> str:
    """What the marks are, under which conditions cost was measured, and n."""
    row = table.iloc[0]
    parameters = table["parameters"] / 1e6
    return (
        f"{metric_title(metric)} at the largest training fraction against throughput and memory (weights, and peak of "
        f"a call) on {row['device']} ({row['precision']}, {row['mode']}, each network at its fastest batch). "
        f"Area of a mark: parameters, {parameters.min():.2g} to {parameters.max():.2g} million; "
        "marks of one network, which cost the same, are set side by side. Bars: "
        f"{interval_words(table)}; {sample_words(table)}."
    )


def throughput(tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> Iterator[Drawing]:
    """Throughput against the batch: one panel per device, colour for architecture, line for precision and mode."""
    table = need(tables, "timing", ("job", *_KEY, "batch", "throughput"))
    inputs = "image" if (table["inputs"] == "image").any() else table["inputs"].iloc[0]
    table = table[table["inputs"] == inputs]
    table = one_measurement(table).assign(way=lambda rows: rows["precision"] + ", " + rows["mode"])
    devices = list(dict.fromkeys(table["device"]))
    colours = colour_map(sorted(set(table["architecture"])))
    lines = line_map(dict.fromkeys(table["way"]))
    panels = [(device, table[table["device"] == device]) for device in devices]
    with house_style():
        page, column = (_throughput_panels(panels, colours, lines, narrow) for narrow in (False, True))
        repeats = span(table["repeats"], "repeats") if "repeats" in table else ""
        caption = (
            f"Throughput against the batch for {inputs} networks: median of {repeats or 'the repeats'} after warm-up; "
            "bars: their quartiles."
        )
        yield Drawing("throughput", page, "Throughput", caption, column)


def _throughput_panels(
    panels: Sequence[tuple[str, pd.DataFrame]], colours: Mapping, lines: Mapping, narrow: bool
) -> Figure:
    """A panel a device, side by side, or below each other in one column."""
    figure = new_figure(COLUMN_WIDTH, 0.7 + 2.2 * len(panels)) if narrow else new_figure(PAGE_WIDTH, 2.7)
    grid = figure.subplots(*((len(panels), 1) if narrow else (1, len(panels))), squeeze=False).flat
    for i, (axes, (device, table)) in enumerate(zip(grid, panels, strict=True)):
        _sweep(axes, table, colours, lines)
        axes.set_title(device)
        if narrow or i == 0:
            axes.set_ylabel("Throughput (alerts/s)")
    entries = [handle(name, color=colour, linestyle="-") for name, colour in colours.items()]
    entries += [handle(way, color="0.3", linestyle=line) for way, line in lines.items()]
    figure.legend(handles=entries, loc="outside lower center", ncols=2 if narrow else 4, handlelength=2.6)
    return figure


def _sweep(axes: Axes, table: pd.DataFrame, colours: Mapping, lines: Mapping) -> None:
    """Lines of one device, both axes logarithmic."""
    for (name, way), rows in table.groupby(["architecture", "way"], sort=False):
        rows = rows.sort_values("batch")
        axes.plot(
            rows["batch"], rows["throughput"], color=colours[name], linestyle=lines[way], marker="o", markersize=2
        )
        if {"throughput_low", "throughput_high"} <= set(rows):
            axes.vlines(
                rows["batch"], rows["throughput_low"], rows["throughput_high"], color=colours[name], linewidth=0.8
            )
    count_axis(axes.xaxis, table["batch"])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("Batch (alerts)")
    finish(axes)
