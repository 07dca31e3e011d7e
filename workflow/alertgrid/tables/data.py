"""Tables of the data themselves: counts, missing values, magnitudes, what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..columns import BANDS, METADATA_COLUMNS, MISSING
from ..dataset import read_metadata

# Table -> column -> unit and meaning.
SCHEMAS = {
    "dataset_counts": {
        "split": ("", "train, val, test, or empty for alerts left out"),
        "source_set": ("", "trues, dims, vars, rejects"),
        "label": ("", "1: bright transient"),
        "band": ("", "filter; all for their sum"),
        "n_alerts": ("alerts", "number"),
        "n_sources": ("sources", "number"),
    },
    "dataset_missing": {
        "column": ("", "catalogue column, or metadata."),
        "n_missing": ("alerts", "without a value, sentinels included"),
        "fraction_missing": ("", "of all alerts"),
        "n_sentinel": ("alerts", "with ZTF's own -999"),
    },
    "dataset_magnitudes": {
        "split": ("", "train, val, test, or empty for alerts left out"),
        "source_set": ("", "trues, dims, vars, rejects"),
        "mag_low": ("mag", "lower edge of the bin in magpsf"),
        "mag_high": ("mag", "upper edge of the bin in magpsf"),
        "n_alerts": ("alerts", "in the bin"),
    },
    "dataset_refused": {
        "reason": ("", "why alerts were not taken"),
        "n_alerts": ("alerts", "number"),
        "first_file": ("", "file of the first of them"),
        "first_row": ("", "row of the first of them"),
    },
}


def tables_of(
    catalogue: pd.DataFrame, dataset: str | Path | None, refused: str | Path | None, edges: Sequence[float]
) -> dict[str, pd.DataFrame]:
    """All tables of the data; `edges` are those of the magnitude bins."""
    return {
        "dataset_counts": counts(catalogue),
        "dataset_missing": missing_values(catalogue, dataset),
        "dataset_magnitudes": magnitudes(catalogue, edges),
        "dataset_refused": refusals(refused),
    }


def counts(catalogue: pd.DataFrame) -> pd.DataFrame:
    """Alerts and sources per split, source set, label and band; band "all" has each combination's sum."""
    band = catalogue["fid"].map(BANDS).fillna("other")
    tables = []
    for rows in (catalogue.assign(band="all"), catalogue.assign(band=band)):
        grouped = rows.groupby(["split", "source_set", "label", "band"], sort=True)["objectId"]
        tables.append(grouped.agg(n_alerts="size", n_sources="nunique").reset_index())
    return pd.concat(tables, ignore_index=True)


def missing_values(catalogue: pd.DataFrame, dataset: str | Path | None) -> pd.DataFrame:
    """Missing values per column: NaN, empty text, or ZTF's own sentinel -999.

    The metadata are counted where the dataset's path is given.
    """
    columns = {name: catalogue[name].to_numpy() for name in catalogue if not name.startswith("order_")}
    if dataset is not None:
        metadata = read_metadata(dataset)
        columns |= {f"metadata.{name}": metadata[:, i] for i, name in enumerate(METADATA_COLUMNS)}
    rows = []
    for name, values in columns.items():
        number = np.issubdtype(values.dtype, np.number)
        empty = np.isnan(values.astype(float)) if number else pd.isna(values) | (values == "")
        sentinel = values == MISSING if number else np.zeros(len(values), bool)
        n = int((empty | sentinel).sum())
        rows.append((name, n, n / max(len(values), 1), int(sentinel.sum())))
    return pd.DataFrame(rows, columns=["column", "n_missing", "fraction_missing", "n_sentinel"])


def magnitudes(catalogue: pd.DataFrame, edges: Sequence[float]) -> pd.DataFrame:
    """Histogram of magpsf per split and source set."""
    rows = []
    for (split, name), part in catalogue.groupby(["split", "source_set"], sort=True):
        heights, _ = np.histogram(part["magpsf"].dropna(), edges)
        rows += [(split, name, edges[i], edges[i + 1], int(height)) for i, height in enumerate(heights)]
    return pd.DataFrame(rows, columns=["split", "source_set", "mag_low", "mag_high", "n_alerts"])


def refusals(path: str | Path | None) -> pd.DataFrame:
    """Refused alerts per reason, with the first file of each."""
    columns = ["reason", "n_alerts", "first_file", "first_row"]
    if path is None or not Path(path).is_file():
        return pd.DataFrame(columns=columns)
    refused = pd.read_csv(path, dtype=str, keep_default_na=False)
    grouped = refused.groupby("reason", sort=True)
    result = grouped.agg(n_alerts=("file", "size"), first_file=("file", "first"), first_row=("row", "first"))
    return result.reset_index()[columns].sort_values("n_alerts", ascending=False, kind="stable")
