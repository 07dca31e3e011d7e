"""How fast does a network train? By run records of this or other studies where there are some, else by rates.csv.

The table beside this file says of each number whether it was measured or is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ..columns import STAMP_SIZE
from ..errors import StudyError
from ..settings.words import named_size

RATES = Path(__file__).with_name("rates.csv")


def rate_of(rates: pd.DataFrame, architecture: str, inputs: str, device: str) -> dict:
    """Milliseconds of one device per trained alert, parameters, kind, source.

    `image_ms` is that of the image branch which a fusion embeds its alerts with.

    Raises
    ------
    StudyError
        No rate fits, not even one for any network.
    """
    if inputs == "joint":
        image, metadata = (_row(rates, *key, device) for key in ((architecture, "image"), ("metadata_net", "metadata")))
        return {**image, "ms_per_alert": image["ms_per_alert"] + metadata["ms_per_alert"], "image_ms": 0.0}
    row = _row(rates, architecture, inputs, device)
    if inputs != "fusion":
        return {**row, "image_ms": 0.0}
    image = _row(rates, architecture, "image", device)
    # The weaker of the two numbers says how far the estimate can be trusted.
    weaker = image if image["kind"] == "guess" else row
    # A fusion keeps its branches; the table knows its head, records the whole.
    whole = {"image_ms": image["ms_per_alert"], "parameters": max(row["parameters"], image["parameters"])}
    return {**row, **whole, "kind": weaker["kind"], "source": weaker["source"]}


def sized(architecture: str, input_size: str | int = "native") -> str:
    """Name of a network in the rates: `maxvit_tiny@224` where stamps are resized."""
    return architecture if input_size == "native" or "@" in architecture else f"{architecture}@{input_size}"


def _row(rates: pd.DataFrame, architecture: str, inputs: str, device: str) -> dict:
    """The last (newest) rate for a network; else scaled from its native size; else the one for any network."""
    match = rates[(rates["inputs"] == inputs) & (rates["device"] == device)]
    name, size = named_size(architecture)
    # A fusion trains a head on embeddings and metadata have no pixels: only images cost by their area.
    scale = (size / STAMP_SIZE) ** 2 if size and inputs == "image" else 1.0
    for known, factor in ((architecture, 1.0), (name, scale), ("*", scale)):
        rows = match[match["architecture"] == known]
        if len(rows):
            return _scaled(rows.iloc[-1].to_dict(), factor)
    raise StudyError(str(RATES), f"no rate for {architecture}, {inputs}, {device}", "a row with *", "add one")


def _scaled(row: dict, factor: float) -> dict:
    """A rate for inputs of `factor` times the area; scaling makes it a guess."""
    if factor == 1.0:
        return row
    source = f"{row['source']}; times {factor:.1f} for the larger input"
    return {**row, "ms_per_alert": row["ms_per_alert"] * factor, "kind": "guess", "source": source}


def load_rates(records: Sequence[Mapping] = (), path: str | Path = RATES) -> pd.DataFrame:
    """The calibrated table, followed by medians of recorded runs, which count more.

    Parameters
    ----------
    records : sequence of mappings
        run.json of any finished runs, of any study; those that do not tell their throughput are passed over.
    path : path
        Columns architecture, inputs, device, ms_per_alert, parameters, kind ("measured", "guess"), source.
    """
    table = pd.read_csv(path)
    records = [record for record in records if record.get("alerts_per_second")]
    if not records:
        return table
    seen = pd.DataFrame([_seen(record) for record in records])
    groups = seen.groupby(["architecture", "inputs", "device"])
    medians = groups.agg(
        ms_per_alert=("ms_per_alert", "median"), parameters=("parameters", "median"), count=("parameters", "size")
    ).reset_index()
    medians["kind"] = "recorded"
    medians["source"] = "median of " + medians.pop("count").astype(str) + " recorded runs"
    return pd.concat([table, medians], ignore_index=True)


def _seen(record: Mapping) -> dict:
    """Rate of one device in a finished run, for the size that it resized its stamps to."""
    size = record.get("settings", {}).get("models_resolved", {}).get("input_size", "native")
    return {
        "architecture": sized(record["architecture"], "native" if record["inputs"] == "metadata" else size),
        "inputs": record["inputs"],
        "device": record["device"].split(":")[0],
        # Several devices share the alerts of a run, so each of them takes as many times longer.
        "ms_per_alert": 1000 * record.get("devices", 1) / record["alerts_per_second"],
        "parameters": record["n_parameters"],
    }
