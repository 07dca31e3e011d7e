"""What does this machine offer? Device, memory, arithmetic; and what is to be said about it in a run's record."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from ..errors import StudyError


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device of that name; auto takes a GPU where there is one.

    Raises
    ------
    StudyError
        The name is neither auto, cpu nor cuda, or a GPU is asked for and none is visible.
    """
    if isinstance(name, torch.device):
        return name
    found = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if found else "cpu"
    if name != "cpu" and not (name.startswith("cuda") and found):
        problem = "no GPU is visible" if name.startswith("cuda") else "no such device"
        raise StudyError(
            "--device", f"{name} is not usable: {problem}", "auto, cpu or cuda", "ask for a GPU, or use auto"
        )
    device = torch.device(name)
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def available_memory(device: torch.device) -> int:
    """Free bytes of the device's memory; on a CPU within the limit of the control group, if one is set."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - psutil.Process().memory_info().rss)
    return max(free, 0)


def choose_precision(precision: str, device: torch.device, inputs: str) -> str:
    """fp32 or bf16; auto takes bf16 for stamps where the hardware multiplies it natively."""
    if precision != "auto":
        return precision
    if inputs == "metadata":
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


@contextlib.contextmanager
def arithmetic(device: torch.device, *, threads: int | None, deterministic: bool) -> Iterator[None]:
    """Threads and kernels as asked for inside, and as they were outside."""
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    if threads:
        torch.set_num_threads(threads)
    if device.type == "cuda" and deterministic:
        # cuBLAS reads this when it first starts; without it deterministic matrix products are refused.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        # float32 means float32: TF32 convolutions are torch's default and keep 10 bits only.
        flags = {"benchmark": not deterministic, "deterministic": deterministic, "allow_tf32": False}
        with torch.backends.cudnn.flags(enabled=True, **flags):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` count from here, where the system allows it: runs of one process have peaks of their own."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):  # not Linux, or a container that forbids it: the peak of the process remains
        Path("/proc/self/clear_refs").write_text("5")


def free_memory(device: torch.device) -> None:
    """Give back what the run before held, so that the next one finds the device as the first did."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_memory(device: torch.device) -> int:
    """Most bytes held since `forget_peak`: by tensors on a GPU, by the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def device_name(device: torch.device) -> str:
    """Model of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
