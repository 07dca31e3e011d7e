"""What does inference cost? Size, operations, latency, throughput and memory of a network beside the custom CNN.

Both networks are measured in the same call and in turns, so that what disturbs the machine disturbs both, and their
ratio is worth more than either number. Stamps lie on the device already: reading alerts is not part of inference here.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .columns import METADATA_COLUMNS, STAMP_SIZE
from .files import write_csv, write_json
from .machine import describe_machine
from .models import build_fusion, build_model
from .stopwatch import MIB, measure
from .timing_settings import Sweep, check
from .training.hardware import choose_device, device_name

BASELINE = "btsbot_cnn"
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Subject:
    """A network to be timed with what does not depend on batch or precision."""

    architecture: str
    inputs: str
    model: nn.Module
    in_channels: int
    parameters: int
    weights_mb: float
    gflops: float


def time_architecture(
    *,
    architecture: str,
    inputs: str = "image",
    in_channels: int = 3,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    output: str | Path | None = None,
    record: str | Path | None = None,
    **sweep: Any,
) -> pd.DataFrame:
    """Time one architecture beside the custom CNN.

    Parameters
    ----------
    architecture, inputs, in_channels, settings
        Names of the grid and settings of the models. The custom CNN has the same inputs ("image" for metadata).
    device : str
        "cpu", "cuda" or "auto", which takes a GPU where there is one.
    output, record : path, optional
        CSV of the rows and JSON about the machine.
    **sweep
        Fields of `Sweep`.

    Returns
    -------
    DataFrame
        Columns of timing.csv; rows of the custom CNN as well. A setting that the device has no memory for has NaN.

    Raises
    ------
    StudyError
        An unknown device, precision or mode.
    """
    check([device.split(":")[0]], ("auto", "cpu", "cuda"), "device")
    target, plan = choose_device(device), Sweep.of(sweep)
    with _threads(plan.threads):
        frame = pd.DataFrame(
            _sweep(_subjects(architecture, inputs, in_channels, settings, target, plan.seed), plan, target)
        )
        machine = describe_machine(target)
    if output is not None:
        write_csv(output, frame)
    if record is not None:
        write_json(record, machine)
    return frame


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Use `count` CPU threads inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _sweep(subjects: Sequence[Subject], plan: Sweep, device: torch.device) -> Iterator[dict[str, Any]]:
    """Rows of every precision, mode and batch."""
    for precision, mode, batch in itertools.product(plan.precisions, plan.modes, plan.batches):
        calls = [_call(subject, precision, mode, batch, device, plan.seed) for subject in subjects]
        times, memory = measure(calls, device, plan.warmup, plan.repeats, plan.max_seconds)
        yield from _rows(subjects, (precision, mode, batch), times, memory, device_name(device))


def _subjects(
    architecture: str,
    inputs: str,
    in_channels: int,
    settings: Mapping[str, Any] | None,
    device: torch.device,
    seed: int,
) -> list[Subject]:
    """The network and, unless it is the one, the custom CNN."""
    kinds = [(architecture, inputs)]
    standard = (BASELINE, "image" if inputs == "metadata" else inputs)
    kinds += [standard] * (standard != kinds[0])
    return [_subject(name, kind, in_channels, settings, device, seed) for name, kind in kinds]


def network(
    architecture: str, inputs: str, in_channels: int = 3, settings: Mapping[str, Any] | None = None, seed: int = 0
) -> nn.Module:
    """A network with the grid's own names of inputs; weights are random, since they change no cost."""
    if inputs == "fusion":
        branches = [build_model(architecture, kind, in_channels, settings, seed) for kind in ("image", "metadata")]
        return build_fusion(*branches, settings, seed)
    return build_model(architecture, "fusion" if inputs == "joint" else inputs, in_channels, settings, seed)


def _subject(name: str, inputs: str, in_channels: int, settings, device: torch.device, seed: int) -> Subject:
    """Build one network and count it."""
    model = network(name, inputs, in_channels, settings, seed).eval().to(device)
    tensors = [*model.parameters(), *model.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB
    parameters = sum(parameter.numel() for parameter in model.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        model(*_alerts(1, in_channels, device, seed))
    return Subject(name, inputs, model, in_channels, parameters, weights, counter.get_total_flops() / 1e9)


def _alerts(batch: int, in_channels: int, device: torch.device, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random stamps of unit norm and metadata."""
    generator = torch.Generator().manual_seed(seed)
    stamps = torch.randn(batch, in_channels, STAMP_SIZE, STAMP_SIZE, generator=generator) / STAMP_SIZE
    return stamps.to(device), torch.randn(batch, len(METADATA_COLUMNS), generator=generator).to(device)


def _call(
    subject: Subject, precision: str, mode: str, batch: int, device: torch.device, seed: int
) -> Callable[[], Any]:
    """A function that runs one batch."""
    stamps, metadata = _alerts(batch, subject.in_channels, device, seed)
    kind = PRECISIONS[precision]
    if kind is not None:
        stamps = stamps.to(memory_format=torch.channels_last)
    layout = torch.contiguous_format if kind is None else torch.channels_last
    model = subject.model.to(memory_format=layout)
    model = torch.compile(model) if mode == "compiled" else model

    def call() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device.type, kind, enabled=kind is not None):
            return model(stamps, metadata)

    return call


def _rows(
    subjects: Sequence[Subject],
    setting: tuple[str, str, int],
    times: Sequence[np.ndarray],
    memory: Sequence[float],
    device: str,
) -> list[dict[str, Any]]:
    """Rows of timing.csv of one precision, mode and batch."""
    precision, mode, batch = setting
    medians = [float(np.median(values)) if len(values) else np.nan for values in times]
    rows = []
    for subject, values, median, peak in zip(subjects, times, medians, memory, strict=True):
        slow, fast = np.quantile(values, [0.75, 0.25]) if len(values) else (np.nan, np.nan)
        row = {"architecture": subject.architecture, "inputs": subject.inputs, "input_size": input_size(subject.model)}
        row |= {"device": device, "precision": precision, "mode": mode, "batch": batch, "latency_ms": median * 1e3}
        row |= {"throughput": batch / median, "throughput_low": batch / slow, "throughput_high": batch / fast}
        row |= {"peak_memory_mb": peak, "parameters": subject.parameters, "gflops": subject.gflops}
        rows.append(row | {"weights_mb": subject.weights_mb, "relative_to_custom": medians[-1] / median})
    return rows


def input_size(model: nn.Module) -> int:
    """Side in pixels of what the encoder sees; 0 for a network without stamps."""
    encoder = getattr(model, "encoder", None)
    if encoder is None and hasattr(model, "image"):
        encoder = model.image.encoder
    return int(encoder.input_size) if encoder is not None else 0
