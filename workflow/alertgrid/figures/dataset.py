"""What was studied? Counts by class, split and band, magnitudes, and the share of missing metadata.

Counts and magnitudes come from catalogue.h5; missing values from the table dataset_missing.csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..columns import BANDS, SOURCE_SETS, SPLITS
from ..dataset import read_catalogue
from .style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    Drawing,
    Skip,
    colour_map,
    finish,
    handle,
    house_style,
    line_map,
    new_figure,
)
from .words import need, span

_BIN = 0.25  # mag


def load_catalogue(path: str | Path | None) -> pd.DataFrame | None:
    """Read the catalogue with its band names, or None where there is none."""
    if path is None or not Path(path).exists():
        return None
    catalogue = read_catalogue(path)
    return catalogue.assign(band=catalogue["fid"].map(BANDS).fillna("other"))


def _known(catalogue: pd.DataFrame | None) -> pd.DataFrame:
    """The catalogue, or the reason why a figure is left out."""
    if catalogue is None or catalogue.empty:
        raise Skip("there is no catalogue")
    return catalogue


def counts(catalogue: pd.DataFrame | None) -> Iterator[Drawing]:
    """Alerts and sources by source set and split, alerts by band and split."""
    catalogue = _known(catalogue)
    sources = catalogue.drop_duplicates("objectId")
    sets = [name for name in SOURCE_SETS if name in set(catalogue["source_set"])]
    bands = [name for name in (*BANDS.values(), "other") if name in set(catalogue["band"])]
    panels = ((sources, "source_set", sets, "Sources"), (catalogue, "source_set", sets, "Alerts"))
    panels += ((catalogue, "band", bands, "Alerts"),)
    with house_style():
        page, column = (_count_panels(panels, narrow) for narrow in (False, True))
        positive = catalogue["label"].eq(1)
        caption = (
            f"{len(catalogue):,} alerts of {len(sources):,} sources; label 1: {positive.sum():,} alerts of "
            f"{catalogue.loc[positive, 'objectId'].nunique():,} sources. Logarithmic axes."
        )
        yield Drawing("dataset_counts", page, "Counts by class, split and band", caption, column)


def _count_panels(panels: Sequence[tuple[pd.DataFrame, str, Sequence[str], str]], narrow: bool) -> Figure:
    """Panels of bars, side by side, or below each other in one column."""
    figure = new_figure(COLUMN_WIDTH, 5.6) if narrow else new_figure(PAGE_WIDTH, 2.3)
    widths = [max(len(order), 2) for _, _, order, _ in panels]
    grid = figure.subplots(len(panels)) if narrow else figure.subplots(1, len(panels), width_ratios=widths)
    for axes, (rows, column, order, label) in zip(grid, panels, strict=True):
        _bars(axes, rows, column, order)
        axes.set_ylabel(label)
        axes.set_xlabel("Source set" if column == "source_set" else "Band")
    colours = colour_map(SPLITS)
    entries = [handle(name, color=colours[name], marker="s", markersize=5) for name in SPLITS]
    figure.legend(handles=entries, loc="outside lower center", ncols=3)
    return figure


def _bars(axes, rows: pd.DataFrame, column: str, order: Sequence[str]) -> None:
    """Bars of the three splits side by side, each with its count."""
    colours = colour_map(SPLITS)
    for i, split in enumerate(SPLITS):
        sizes = rows.loc[rows["split"] == split, column].value_counts().reindex(order, fill_value=0)
        bars = axes.bar(np.arange(len(order)) + 0.28 * (i - 1), sizes, 0.26, color=colours[split])
        axes.bar_label(bars, [f"{size:,}" for size in sizes], fontsize=5.5, rotation=90, padding=1.5)
    axes.set_xticks(range(len(order)), order)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_ylim(0.7, axes.get_ylim()[1] * 6)
    axes.tick_params(axis="x", length=0)
    finish(axes)


def magnitudes(catalogue: pd.DataFrame | None) -> Iterator[Drawing]:
    """Histogram of PSF magnitudes by source set."""
    catalogue = _known(catalogue)
    values = catalogue["magpsf"].to_numpy(float)
    if not np.isfinite(values).any():
        raise Skip("no alert has a magnitude")
    edges = np.arange(np.floor(np.nanmin(values) / _BIN) * _BIN, np.nanmax(values) + _BIN, _BIN)
    sets = [name for name in SOURCE_SETS if name in set(catalogue["source_set"])]
    colours, lines = colour_map(sets), line_map(sets)
    with house_style():
        figure = new_figure(COLUMN_WIDTH, 2.6)
        axes = figure.subplots()
        for name in sets:
            chosen = values[catalogue["source_set"] == name]
            axes.stairs(
                np.histogram(chosen, edges)[0], edges, color=colours[name], linestyle=lines[name], linewidth=1.1
            )
        axes.set(xlabel="PSF magnitude (mag)", ylabel=f"Alerts per {_BIN} mag", yscale="log", ylim=(0.7, None))
        finish(axes)
        sizes = catalogue["source_set"].value_counts()
        entries = [handle(f"{name} ({sizes[name]:,})", color=colours[name], linestyle=lines[name]) for name in sets]
        figure.legend(handles=entries, loc="outside lower center", ncols=2)
        caption = f"Magnitudes of {len(catalogue):,} alerts by source set (number of alerts in brackets)."
        yield Drawing("dataset_magnitudes", figure, "Magnitudes", caption)


def missing_values(tables, catalogue: pd.DataFrame | None) -> Iterator[Drawing]:
    """Share of alerts without a value, per metadata column that lacks any."""
    table = need(tables, "dataset_missing", ("column", "fraction_missing"))
    table = table.groupby("column", sort=False)["fraction_missing"].mean().reset_index()
    table = table[table["fraction_missing"] > 0].sort_values("fraction_missing")
    if table.empty:
        raise Skip("no metadata value is missing")
    with house_style():
        figure = new_figure(COLUMN_WIDTH, 0.6 + 0.17 * len(table))
        axes = figure.subplots()
        bars = axes.barh(table["column"], 100 * table["fraction_missing"], color=colour_map("a")["a"])
        axes.bar_label(bars, [f"{100 * share:.2g} %" for share in table["fraction_missing"]], fontsize=6, padding=2)
        axes.set_xlabel("Alerts without a value (%)")
        axes.margins(x=0.15)
        finish(axes, grid="x")
        total = "" if catalogue is None else f" of {span(pd.Series([len(catalogue)]), 'alerts')}"
        caption = (
            f"Share{total} without a value (not a number, empty text, or ZTF's sentinel -999), for the columns that "
            "have any; the table counts the sentinels apart."
        )
        yield Drawing("dataset_missing", figure, "Missing metadata", caption)
