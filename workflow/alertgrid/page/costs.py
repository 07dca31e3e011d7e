"""What the page says of costs: of a score, and of the trainings."""

from __future__ import annotations

import pandas as pd

from ..timing.results import NETWORK, one_measurement
from .views import View, bounds, plain, rounded, share, text, view

FRACTION = share("training sources (%)", "fraction")
_ENERGY = "energy over the runs that could read it, of whole devices, work beside the run included"


def inference(table: pd.DataFrame | None) -> View | None:
    """Latency, throughput and memory of each network, from one job each."""
    if table is not None and {"job", *NETWORK} <= set(table):
        table = one_measurement(table)
    columns = [
        text("architecture", "architecture"), text("inputs", "inputs"), text("device", "device"),
        text("precision", "precision"), text("mode", "mode"), plain("batch (alerts)", "batch"),
        rounded("latency (ms)", "latency_ms"), bounds("throughput (alerts/s)", "throughput", "throughput_", 0),
        bounds("over custom CNN", "relative_to_custom", "relative_", 2), rounded("memory (MiB)", "memory_mb"),
        rounded("of it weights (MiB)", "weights_mb"), rounded("parameters (million)", "parameters", scale=1e-6),
        rounded("GFLOPs", "gflops"), plain("input (pixels)", "input_size"), plain("repeats", "repeats"),
    ]  # fmt: skip
    note = (
        "Throughput: median of the repeats and its quartiles. Over custom CNN: as a multiple of that of the custom "
        "CNN, measured in turns with it in the same job; median of the turns with its interval (of fewer than six "
        "turns the least and the greatest). Memory: weights, and the peak of a call. Each network as its own job "
        "measured it, with three cutouts; the CSV has the custom CNN of every job. Empty: no room on the device, no "
        "compiler, or too slow a call."
    )
    return view("timing", "Inference", table, columns, note)


def machines(table: pd.DataFrame | None) -> View | None:
    """On which devices inference was timed, and how they were set; what none of them knows is left out."""
    if table is None or table.empty:
        return None
    columns = [
        text("job", "job"), text("device", "device"), plain("CPU threads", "threads"), plain("CPU (MHz)", "cpu_mhz"),
        text("GPU driver", "driver"), plain("GPU (MHz)", "sm_mhz"), plain("highest (MHz)", "max_sm_mhz"),
        plain("GPU memory (MHz)", "memory_mhz"), plain("power limit (W)", "power_limit_w"), text("torch", "torch"),
        text("CUDA", "cuda"),
    ]  # fmt: skip
    note = "Clocks as they were when each job had measured."
    return view("machines", "Machines that were timed", table.dropna(axis=1, how="all"), columns, note)


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
        rounded("GPU-hours", "gpu_hours"), rounded("peak memory (MiB)", "peak_memory_mb"),
    ]  # fmt: skip
    known = "energy_wh" in table and table["energy_wh"].notna().any()
    if known:
        columns += [rounded("energy (Wh)", "energy_wh"), plain("runs with energy", "n_energy")]
        columns.append(text("energy of", "energy_of"))
    said = f"sums; {_ENERGY}." if known else "sum. No run could read a counter of energy."
    return view("training_cost", "Training cost", table, columns, f"Medians over runs; GPU-hours: {said}")
