"""What does this machine offer? Device, memory, arithmetic; and what is to be said about it in a run's record."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil
import torch
from torch import distributed

from ..errors import StudyError

CONTROL_GROUPS, GROUP_ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
SLURM_MEMORY = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")


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


def available_memory(device: torch.device, memory_mb: int | None = None) -> int:
    """Bytes that this process may still take: of a GPU what is free; of the host, its share of the tightest limit.

    Parameters
    ----------
    memory_mb : int, optional
        Memory (MB) that the job was given, for where no control group says so. Those of this process count too, and
        what Slurm says to its jobs.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [*_group_limits(), *_slurm_limits(), *([memory_mb * 10**6] if memory_mb else [])]
    own = psutil.Process().memory_info().rss
    free = min([psutil.virtual_memory().available, *(limit // _processes() - own for limit in limits)])
    return max(free, 0)


def _processes() -> int:
    """Processes that train a run together, which share the memory of a job."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _group_limits() -> Iterator[int]:
    """Bytes allowed by each control group that this process is in and by those above it, of version 2 and 1."""
    with contextlib.suppress(OSError):  # not Linux
        for line in CONTROL_GROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root, name = (GROUP_ROOT / "memory", "memory.limit_in_bytes") if controllers else (GROUP_ROOT, "memory.max")
            # In a container the path may be that of the host, which is not mounted: the groups above it remain.
            group = PurePosixPath(path.lstrip("/"))
            for folder in (group, *group.parents):
                with contextlib.suppress(OSError, ValueError):  # no such group, or "max"
                    yield int((root / folder / name).read_text())


def _slurm_limits() -> Iterator[int]:
    """Bytes that Slurm says it gave to this job on this node (MB in its variables; 0 is all of the node)."""
    number = {name: int(value) for name, value in os.environ.items() if name in SLURM_MEMORY and value.isdigit()}
    per_cpu = number.get("SLURM_MEM_PER_CPU", 0) * number.get("SLURM_CPUS_ON_NODE", 0)
    yield from (value * 2**20 for value in (number.get("SLURM_MEM_PER_NODE", 0), per_cpu) if value)


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
