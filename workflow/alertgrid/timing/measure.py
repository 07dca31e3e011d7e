"""What does inference cost? Size, operations, latency, throughput and memory of a network beside the custom CNN.

Both networks are measured in the same job and in turns, so that what disturbs the machine disturbs both, and their
ratio is worth more than either number. Stamps lie on the device already: reading alerts is not part of inference here.
`results` says how the rows are to be read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..claims.rules import Rules
from ..files import write_csv, write_json
from ..medians import median_interval
from ..training.hardware import arithmetic, choose_device, device_name
from .machine import describe_machine
from .settings import Sweep, check
from .stopwatch import CannotCompile, measure
from .subjects import Subject, noise, subjects

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


def time_network(
    *,
    architecture: str,
    inputs: str = "image",
    settings: Mapping[str, Any] | None = None,
    baseline: str = Rules.baseline,
    device: str = "auto",
    output: str | Path | None = None,
    record: str | Path | None = None,
    **sweep: Any,
) -> pd.DataFrame:
    """Time one network beside the custom CNN.

    Parameters
    ----------
    architecture, inputs, settings
        Names of the grid and settings of the models. The custom CNN has the same inputs ("image" for metadata).
    baseline : str
        Architecture of the custom CNN.
    device : str
        "cpu", "cuda" or "auto": the CPU, and the GPU where there is one.
    output, record : path, optional
        CSV of the rows, and JSON about the machine: type of device -> `describe_machine`.
    **sweep
        Fields of `Sweep`.

    Returns
    -------
    DataFrame
        Columns of timing.csv; rows of the custom CNN as well. What has no room on the device, cannot be compiled or
        takes too long has NaN.

    Raises
    ------
    StudyError
        An unknown device, precision or mode.
    """
    plan, rows, machines = Sweep.of(sweep), [], {}
    found = subjects(architecture, inputs, settings, baseline, plan.seed)
    for target in _devices(device):
        with arithmetic(target, threads=plan.threads, deterministic=False):
            rows += _sweep(found, plan, target)
            machines[target.type] = describe_machine(target)
    frame = pd.DataFrame(rows)
    if output is not None:
        write_csv(output, frame)
    if record is not None:
        write_json(record, machines)
    return frame


def _devices(name: str) -> list[torch.device]:
    """The GPU, where there is one, then the CPU; or the one that is named."""
    check([name.split(":")[0]], ("auto", "cpu", "cuda"), "device")
    names = ["cuda", "cpu"] if name == "auto" and torch.cuda.is_available() else [name]
    return [choose_device(each) for each in names]


def _sweep(found: Sequence[Subject], plan: Sweep, device: torch.device) -> Iterator[dict[str, Any]]:
    """Rows of every precision, mode and batch on one device, batches rising."""
    for precision, mode in itertools.product(plan.precisions, plan.modes):
        pace = np.zeros(len(found))  # seconds an alert; NaN once a batch was not measured, as none above it will be
        for batch in sorted(plan.batches):
            if mode == "compiled":
                torch.compiler.reset()  # else it gives up after eight variants, and eager mode is measured
            calls = [
                _call(subject, precision, mode, batch, device, plan.seed) if slow * batch <= plan.max_seconds else None
                for subject, slow in zip(found, pace, strict=True)
            ]
            times, memory = measure(calls, device, plan.warmup, plan.repeats, plan.max_seconds)
            pace = np.array([_median(values) / batch for values in times])
            setting = {"device": device_name(device), "precision": precision, "mode": mode, "batch": batch}
            yield from _rows(found, setting, times, memory)


def _call(
    subject: Subject, precision: str, mode: str, batch: int, device: torch.device, seed: int
) -> Callable[[], Any]:
    """A function that runs one batch."""
    stamps, metadata = noise(batch, device, seed)
    kind = PRECISIONS[precision]
    layout = torch.contiguous_format if kind is None else torch.channels_last
    stamps = stamps.to(memory_format=layout)
    model = subject.model.to(device=device, memory_format=layout)
    run = torch.compile(model, dynamic=False) if mode == "compiled" else model

    def call() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device.type, kind, enabled=kind is not None):
            return run(stamps, metadata)

    return _or_cannot_compile(call) if mode == "compiled" else call


def _or_cannot_compile(call: Callable[[], Any]) -> Callable[[], Any]:
    """Tell what a compiler cannot do, or that there is none, from a device without room.

    The network itself works: it has run uncompiled, so what fails here is the compiler.
    """

    def compiled() -> Any:
        try:
            return call()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise CannotCompile(str(error)) from error

    return compiled


def _median(values: np.ndarray) -> float:
    """Median; NaN without a value."""
    return float(np.median(values)) if len(values) else np.nan


def _rows(
    found: Sequence[Subject], setting: Mapping[str, Any], times: Sequence[np.ndarray], memory: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Rows of timing.csv of one device, precision, mode and batch; the custom CNN is the last of the networks."""
    batch = setting["batch"]
    for subject, values, peak in zip(found, times, memory, strict=True):
        fast, slow = np.quantile(values, [0.25, 0.75]) if len(values) else (np.nan, np.nan)
        row = {"job": found[0].name, "architecture": subject.architecture, "inputs": subject.inputs}
        row |= {"input_size": subject.input_size, **setting, "repeats": len(values)}
        row |= {"latency_ms": _median(values) * 1e3, "throughput": batch / _median(values)}
        row |= {"throughput_low": batch / slow, "throughput_high": batch / fast, "peak_memory_mb": peak}
        row |= {"memory_mb": peak + subject.weights_mb, "parameters": subject.parameters, "gflops": subject.gflops}
        row |= {"weights_mb": subject.weights_mb}
        ratios = times[-1] / values if len(times[-1]) == len(values) else np.array([])
        names = ("relative_to_custom", "relative_low", "relative_high")
        yield row | dict(zip(names, median_interval(ratios), strict=True))
