"""What the page says of costs: of a score, and of the trainings."""

from __future__ import annotations

import pandas as pd

from .views import Column, View, bounds, plain, rounded, share, text, view

FRACTION = share("training sources (%)", "fraction")
_ENERGY = "energy over the runs that could read it, of whole devices, work beside the run included"


def inference(table: pd.DataFrame | None) -> View | None:
    """Latency, throughput and memory; of the custom CNN, measured beside each network, the first measurement only."""
    keys = ["architecture", "inputs", "device", "precision", "mode", "batch"]
    if table is not None and set(keys) <= set(table):
        table = table.drop_duplicates(keys)
    columns = [
        text("architecture", "architecture"), text("inputs", "inputs"), text("device", "device"),
        text("precision", "precision"), text("mode", "mode"), plain("batch (alerts)", "batch"),
        rounded("latency (ms)", "latency_ms"),
        Column("throughput (alerts/s)", bounds("", "throughput", "throughput_", 0).cell,
               ("throughput", "throughput_low", "throughput_high")),
        rounded("over custom CNN", "relative_to_custom"), rounded("peak memory (MB)", "peak_memory_mb"),
        rounded("parameters (million)", "parameters", scale=1e-6), rounded("GFLOPs", "gflops"),
        rounded("weights (MB)", "weights_mb"), plain("input (pixels)", "input_size"),
    ]  # fmt: skip
    note = (
        "Over custom CNN: throughput as a multiple of that of the custom CNN, measured in turns with it. Of the custom "
        "CNN itself the first measurement is shown; the CSV has all."
    )
    return view("timing", "Inference", table, columns, note)


def cost(table: pd.DataFrame | None) -> View | None:
    """What the trainings took; energy where any of them could read it."""
    if table is None or table.empty:
        return None
    short = table["wall_seconds"].max() < 600 if "wall_seconds" in table else True
    wall = (
        rounded("wall time (s)", "wall_seconds") if short else rounded("wall time (min)", "wall_seconds", scale=1 / 60)
    )
    columns = [
        text("of", "kind"), text("cell or encoder", "cell"), FRACTION, plain("runs", "n_runs"), wall,
        rounded("alerts/s", "alerts_per_second"),
        rounded("GPU-hours", "gpu_hours"), rounded("peak memory (MB)", "peak_memory_mb"),
    ]  # fmt: skip
    known = "energy_wh" in table and table["energy_wh"].notna().any()
    if known:
        columns += [rounded("energy (Wh)", "energy_wh"), plain("runs with energy", "n_energy")]
        columns.append(text("energy of", "energy_of"))
    said = f"sums; {_ENERGY}." if known else "sum. No run could read a counter of energy."
    return view("training_cost", "Training cost", table, columns, f"Medians over runs; GPU-hours: {said}")
