"""How long does a call take, and how much memory does it hold? Events and allocator of a GPU, clock and kernel else."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

MIB = 2**20
MEMORY_CALLS = 2  # a GPU's allocator holds the same every time; a CPU's kernel counts what else the process touches
FEWEST = 3  # measured calls, whatever the time


class CannotCompile(RuntimeError):
    """The compiler refuses a network, or there is none."""


def measure(
    calls: Sequence[Callable[[], Any] | None],
    device: torch.device,
    warmup: int,
    repeats: int,
    max_seconds: float,
) -> tuple[list[np.ndarray], list[float]]:
    """Time calls in turns, after finding out how much memory each holds.

    Parameters
    ----------
    calls : sequence of callables
        One batch of each network; None is not measured.
    device : torch.device
    warmup, repeats : int
        Calls before measuring, those for the memory among them, and measured calls of each network.
    max_seconds : float
        Measuring stops after this time, but not before three calls of each network.

    Returns
    -------
    times : list of ndarray
        Seconds of every measured call, the same number for all; empty for a network that has no room on the device or
        cannot be compiled.
    memory : list of float
        MiB, see `peak_memory`; NaN where the times are empty.
    """
    memory = [_prepare(call, device, warmup) for call in calls]
    times: list[list[float]] = [[] for _ in calls]
    start = time.perf_counter()
    for number in range(repeats):
        for call, held, found in zip(calls, memory, times, strict=True):
            if held is not None:
                found.append(seconds(call, device))
        if number + 1 >= FEWEST and time.perf_counter() - start > max_seconds:
            break
    return [np.array(found) for found in times], [np.nan if held is None else held for held in memory]


def _prepare(call: Callable[[], Any] | None, device: torch.device, warmup: int) -> float | None:
    """Warm up and return the peak memory; None for what cannot be run."""
    if call is None:
        return None
    try:
        # At least one: the first call chooses kernels, compiles, and holds memory for it.
        for _ in range(max(1, warmup - MEMORY_CALLS)):
            call()
        return peak_memory(call, device)
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        print(f"no room on {device}: {error}", flush=True)
    except CannotCompile as error:
        print(f"cannot be compiled for {device}: {error}", flush=True)
    return None


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

    It is what must fit beside the weights, so the greatest counts and no spread is given. On a GPU by torch's
    allocator. On a CPU by the kernel's high-water mark of the process, which Linux lets us reset once the C library has
    given back what it keeps for later; elsewhere NaN.
    """
    return max(_one_peak(call, device) for _ in range(MEMORY_CALLS))


def _one_peak(call: Callable[[], Any], device: torch.device) -> float:
    """Memory in MiB of one call."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        call()
        return (_status("VmHWM") - before) / 1024
    call()
    return np.nan


def _status(key: str) -> int:
    """A value in kB of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
