"""How long does a call take, and how much memory does it hold? Events and allocator of a GPU, clock and kernel else."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

MIB = 2**20
MEMORY_CALLS = 2  # a GPU's allocator holds the same every time; a CPU's kernel counts what else the process touches


def measure(
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
    """Memory in MiB that a call holds at its peak beyond what was held before it: the greatest of two calls.

    It is what must fit, so the greatest counts and no spread is given. On a GPU by torch's allocator. On a CPU by the
    kernel's high-water mark of the process, which Linux lets us reset once the C library has given back what it keeps
    for later; elsewhere NaN.
    """
    call()
    return max(_one_peak(call, device) for _ in range(MEMORY_CALLS))


def _one_peak(call: Callable[[], Any], device: torch.device) -> float:
    """Memory in MiB of one call."""
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
