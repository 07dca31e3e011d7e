"""What does inference cost? Size, operations, latency, throughput and memory of a network beside the custom CNN.

Both networks are measured in the same call and in turns, so that what disturbs the machine disturbs both, and their
ratio is worth more than either number. Stamps lie on the device already: reading alerts is not part of inference here.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import time
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
from .errors import StudyError
from .files import write_csv, write_json
from .machine import describe_machine
from .models import build_fusion, build_model
from .training.hardware import device_name

BASELINE = "btsbot_cnn"
MIB = 2**20
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
    device: str = "cpu",
    precisions: Sequence[str] = ("fp32", "bf16"),
    modes: Sequence[str] = ("eager",),
    batches: Sequence[int] = (1, 8, 64, 256, 1024),
    warmup: int = 3,
    repeats: int = 20,
    max_seconds: float = 10.0,
    threads: int | None = None,
    seed: int = 0,
    output: str | Path | None = None,
    record: str | Path | None = None,
) -> pd.DataFrame:
    """Time one architecture beside the custom CNN.

    Parameters
    ----------
    architecture, inputs, in_channels, settings
        As for `models.build_model`. The custom CNN is built with the same inputs and settings ("image" for metadata).
    device : str
        "cpu" or "cuda".
    precisions : sequence of {"fp32", "bf16"}
        bf16 is autocast with channels-last stamps.
    modes : sequence of {"eager", "compiled"}
    batches : sequence of int
        Alerts per call.
    warmup, repeats : int
        Calls before measuring, and measured calls of each network.
    max_seconds : float
        Measuring of one setting stops after this time, but not before three calls of each network.
    threads : int, optional
        CPU threads; None keeps torch's own choice.
    seed : int
        Of the weights and the stamps.
    output, record : path, optional
        CSV of the rows and JSON about the machine.

    Returns
    -------
    DataFrame
        Columns of timing.csv; rows of the custom CNN as well. A setting that the device has no memory for has NaN.

    Raises
    ------
    StudyError
        An unknown device, precision or mode.
    """
    target = _device(device)
    _check(precisions, PRECISIONS, "precisions")
    _check(modes, ("eager", "compiled"), "modes")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        subjects = _subjects(architecture, inputs, in_channels, settings, target, seed)
        rows = []
        for precision, mode, batch in itertools.product(precisions, modes, batches):
            calls = [_call(subject, precision, mode, batch, target, seed) for subject in subjects]
            times, memory = _measure(calls, target, warmup, repeats, max_seconds)
            rows += _rows(subjects, (precision, mode, batch), times, memory, device_name(target))
        machine = describe_machine(target)
    finally:
        torch.set_num_threads(before)
    frame = pd.DataFrame(rows)
    if output is not None:
        write_csv(output, frame)
    if record is not None:
        write_json(record, machine)
    return frame


def _check(values: Sequence[str], known: Sequence[str] | Mapping[str, Any], key: str) -> None:
    """Refuse an unknown setting."""
    for value in values:
        if value not in known:
            raise StudyError(f"timing.{key}", f"{value!r} is unknown", f"any of {', '.join(known)}", "correct it")


def _device(name: str) -> torch.device:
    """The device, or an error where torch cannot use it."""
    if name.startswith("cuda") and torch.cuda.is_available():
        return torch.device(name)
    if name != "cpu":
        raise StudyError(
            "timing.device", f"{name!r} is not usable here", "cpu, or cuda with a GPU", "change the device"
        )
    return torch.device("cpu")


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


def _measure(
    calls: Sequence[Callable[[], Any]], device: torch.device, warmup: int, repeats: int, max_seconds: float
) -> tuple[list[np.ndarray], list[float]]:
    """Seconds of every measured call and peak memory in MiB of each network, the networks in turns."""
    memory = []
    times: list[list[float]] = [[] for _ in calls]
    alive = []
    for call in calls:
        with _out_of_memory() as full:
            memory.append(peak_memory(call, device))
            for _ in range(warmup):
                call()
        memory += [np.nan] * full.happened
        alive.append(not full.happened)
    start = time.perf_counter()
    for number in range(repeats):
        for position, call in enumerate(calls):
            if alive[position]:
                times[position].append(seconds(call, device))
        if number >= 2 and time.perf_counter() - start > max_seconds:
            break
    return [np.array(values) for values in times], memory


class _Full:
    """Whether a block ran out of device memory."""

    happened = False


@contextlib.contextmanager
def _out_of_memory() -> Iterator[_Full]:
    """Turn an out-of-memory error into a note."""
    full = _Full()
    try:
        yield full
    except torch.OutOfMemoryError:
        full.happened = True
        torch.cuda.empty_cache()


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Time of one call: by CUDA events on a GPU, by the clock on a CPU."""
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def peak_memory(call: Callable[[], Any], device: torch.device) -> float:
    """Memory in MiB that a call holds at its peak beyond what was held before it.

    On a GPU by torch's allocator. On a CPU by the kernel's high-water mark of the process, which Linux lets us reset
    once the C library has given back what it keeps for later; elsewhere NaN.
    """
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        call()
        return (_status("VmHWM") - before) / 1024
    except (OSError, AttributeError):
        return np.nan


def _status(key: str) -> int:
    """A value in kB of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


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
