"""How much energy did a job take? Read from the counters of the GPU and of the processor, where they may be read.

The GPU's counter comes from NVML (the Python package pynvml, where installed); without it nvidia-smi's power is summed
over time. The processor's comes from Linux's RAPL counters below /sys/class/powercap, which many systems let only root
read. Counters belong to whole devices: work beside the job is counted with it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from . import nvidia

POWERCAP = Path("/sys/class/powercap")
EVERY_SECONDS = 10.0  # RAPL's counters turn over after some minutes at full power
Reader = Callable[[], float]  # joules since the first call


class Meter:
    """Counts energy between entering and leaving.

    Parameters
    ----------
    device : torch.device
        Where the job computes; a GPU is read beside the processor.
    powercap : path
        Folder of the RAPL counters.
    every : float
        Seconds between readings.
    devices : int
        GPUs that do the job together, all of which are read: this one and those of the next numbers.
    """

    def __init__(
        self, device: torch.device, powercap: str | Path = POWERCAP, every: float = EVERY_SECONDS, *, devices: int = 1
    ):
        self.every, self.readers = every, find_readers(device, Path(powercap), devices)
        self.joules: dict[str, float] = {}
        self._end, self._turn = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Meter:
        self._read()
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        """Read now and then, so that no turn of a counter is missed."""
        while self.readers and not self._end.wait(self.every):
            self._read()

    def _read(self) -> None:
        """Ask every counter; one that fails is given up, and what it had counted with it."""
        with self._turn:
            for name, reader in list(self.readers.items()):
                try:
                    self.joules[name] = reader()
                except Exception:  # NVML's errors are of its own kinds; no counter is worth a training
                    self.readers.pop(name)
                    self.joules.pop(name, None)

    def record(self, whole: bool = True) -> dict[str, Any]:
        """What run.json says of the energy so far.

        Parameters
        ----------
        whole : bool
            The job was measured from its beginning; a resumed one was not, and nothing is said of it.

        Returns
        -------
        dict
            energy_joules and energy_of (which counters, joined by " + "); None and "" where nothing could be read.
        """
        if self._thread.is_alive():
            self._read()
        known = self.joules if whole else {}
        return {"energy_joules": sum(known.values()) if known else None, "energy_of": " + ".join(known)}


def find_readers(device: torch.device, powercap: Path, devices: int = 1) -> dict[str, Reader]:
    """Readers of every counter that can be read, by name; GPUs that work together can all be read or none is."""
    readers: dict[str, Reader] = {}
    if device.type == "cuda":
        uuids = [nvidia.uuid_of(torch.device("cuda", device.index + number)) for number in range(devices)]
        for name, make in (("GPU (NVML)", nvml_reader), ("GPU (power by nvidia-smi)", smi_reader)):
            # A missing library, driver or counter each fail in their own way.
            with contextlib.suppress(Exception):
                readers[name] = sum_of([make(uuid) for uuid in uuids])
                break
    zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if is_package(zone)]
    with contextlib.suppress(OSError, ValueError):
        if zones:
            readers["processor (RAPL)"] = rapl_reader(zones)
    return readers


def sum_of(readers: Sequence[Reader]) -> Reader:
    """One reader for several counters."""
    return lambda: sum(reader() for reader in readers)


def nvml_reader(uuid: str) -> Reader:
    """Total energy of a GPU by NVML, in joules since now."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    start = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    return lambda: (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) - start) / 1e3


def smi_reader(uuid: str, clock: Callable[[], float] = time.monotonic) -> Reader:
    """Power of a GPU by nvidia-smi, summed over time by the trapezoidal rule."""
    last, total = (clock(), smi_power(uuid)), 0.0

    def read() -> float:
        nonlocal last, total
        now = (clock(), smi_power(uuid))
        total += (now[0] - last[0]) * (now[1] + last[1]) / 2
        last = now
        return total

    return read


def smi_power(uuid: str) -> float:
    """Power of a GPU in watts."""
    return float(nvidia.ask(uuid, ["power.draw"])["power.draw"])


def is_package(zone: Path) -> bool:
    """Whether a RAPL zone is a whole processor; its parts, and the whole platform, would be counted twice."""
    with contextlib.suppress(OSError):
        return zone.name.count(":") == 1 and (zone / "name").read_text().startswith("package")
    return False


def rapl_reader(zones: list[Path]) -> Reader:
    """Energy of all processors in joules since now; each counter turns over at its own range."""
    ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
    last, total = [_microjoules(zone) for zone in zones], 0

    def read() -> float:
        nonlocal last, total
        now = [_microjoules(zone) for zone in zones]
        total += sum((new - old) % (size + 1) for new, old, size in zip(now, last, ranges, strict=True))
        last = now
        return total / 1e6

    return read


def _microjoules(zone: Path) -> int:
    """Counter of one zone."""
    return int((zone / "energy_uj").read_text())
