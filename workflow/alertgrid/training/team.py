"""One run of the grid, trained by several GPUs of a node (or, on a CPU, by several processes)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import StudyError
from ..files import read_json
from . import parallel
from .hardware import choose_device
from .recipe import Recipe
from .run import follow_run, open_data, train_run
from .spec import RunSpec


@dataclass(frozen=True)
class _Task:
    """What each of the processes does: open its copy of the data, and lead or follow."""

    dataset: Path
    catalogue: Path
    spec: RunSpec
    recipe: Recipe
    device: str
    memory_mb: int | None
    shared: Mapping[str, Any]
    leading: Mapping[str, Any]

    def __call__(self, number: int) -> None:
        device = torch.device("cuda", number) if self.device == "cuda" else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        machine = {"device": device, "memory_mb": self.memory_mb}
        data = open_data(self.dataset, self.catalogue, [self.spec], recipe=self.recipe, **machine)
        if number == 0:
            train_run(data, self.spec, recipe=self.recipe, **self.shared, **self.leading)
        else:
            follow_run(data, self.spec, recipe=self.recipe, **self.shared)


def train_together(
    dataset: str | Path,
    catalogue: str | Path,
    spec: RunSpec,
    *,
    recipe: Recipe,
    leading: Mapping[str, Any],
    device: str = "auto",
    memory_mb: int | None = None,
    **shared: Any,
) -> dict[str, Any]:
    """Train one run in `recipe.devices` processes, or go on with it; outputs, checkpoints and record as by `train_run`.

    Parameters
    ----------
    dataset, catalogue : path
        Opened by each process for itself.
    leading : mapping
        Arguments of `train_run` that concern the first process alone: output, checkpoints, deadline ...
    device : str
        auto, cpu or cuda.
    memory_mb : int, optional
        Memory (MB) that the job was given, for all processes together.
    **shared
        models, sources and threads, as for `train_run`.

    Raises
    ------
    Interrupted, StudyError
        As for `train_run`; StudyError also when fewer GPUs are visible than `recipe.devices`.
    """
    kind = choose_device(device).type
    if kind == "cuda" and torch.cuda.device_count() < recipe.devices:
        found = f"{torch.cuda.device_count()} GPUs are visible"
        raise StudyError("--machine devices", found, f"{recipe.devices}", "ask for as many GPUs in the profile")
    task = _Task(Path(dataset), Path(catalogue), spec, recipe, kind, memory_mb, shared, leading)
    parallel.run_together(task, recipe.devices, device=kind, log=Path(leading["checkpoints"]) / "process")
    return read_json(Path(leading["output"]) / "run.json")
