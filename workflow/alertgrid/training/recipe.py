"""How is a network trained? Every value of the recipe, its unit, its default and what is allowed.

The defaults are those of BTSbot (arXiv 2401.15167, 2512.11957; public repository, version 2.0.7).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import StudyError
from ..settings.words import suggestion

GRAPHS = "reduce-overhead"  # the mode of torch.compile that replays CUDA graphs
CHOICES = {
    "precision": ("auto", "fp32", "bf16"),
    "schedule_by": ("epoch", "step"),
    "resident": ("auto", "yes", "no"),
    "compile": ("no", "default", GRAPHS),
}
# Lowest and highest value allowed, both included.
BOUNDS = {
    "epochs": (1, 100_000),
    "patience": (1, 100_000),
    "min_improvement": (0.0, 1.0),
    "batch_size": (2, 1_000_000),
    "learning_rate": (0.0, 10.0),
    "warmup_epochs": (0, 100_000),
    "warmup_start": (0.0, 1.0),
    "final_fraction": (0.0, 1.0),
    "weight_decay": (0.0, 10.0),
    "gradient_clip": (0.0, math.inf),
    "max_alerts_per_source": (0, 1_000_000_000),
    "devices": (1, 64),
    "micro_batch": (0, 1_000_000),
    "score_batch": (1, 1_000_000),
    "checkpoint_minutes": (0.0, math.inf),
    "stop_margin_seconds": (0.0, 86_400.0),
}
# What may differ between a run and its continuation without making it another run.
NOT_IDENTITY = (
    "checkpoint_minutes",
    "stop_margin_seconds",
    "resident",
    "compile",
    "devices",
    "micro_batch",
    "score_batch",
)


@dataclass(frozen=True)
class Recipe:
    """The values of one training; see `BOUNDS` and `CHOICES` for what is allowed.

    Attributes
    ----------
    epochs, patience : int
        Most epochs, and epochs without improvement after which training stops.
    min_improvement : float
        Relative fall of the validation loss that counts as an improvement.
    batch_size : int
        Alerts per optimizer step.
    learning_rate : float
        Peak learning rate of AdamW.
    warmup_epochs, warmup_start, final_fraction : int, float, float
        Linear warm-up from `warmup_start` of the peak, then a cosine down to `final_fraction` of it.
    schedule_by : {"epoch", "step"}
        Change the learning rate after each epoch (as published) or at each step.
    weight_decay, betas, gradient_clip : float, (float, float), float
        Of AdamW; largest norm of the gradient, 0 for no clipping.
    drop_last, augment : bool
        Drop the last incomplete batch of an epoch; draw one of the eight symmetries of the square per alert.
    max_alerts_per_source : int
        N_max of BTSbot, 0 for no limit.
    precision : {"auto", "fp32", "bf16"}
        Of training; auto takes bfloat16 for stamps where the hardware has it. Scores on disk always come from float32.
    channels_last, deterministic : bool
        Memory order of stamps and convolutions; only deterministic kernels on a GPU.
    compile : {"no", "default", "reduce-overhead"}
        torch.compile of what is trained. On a GPU reduce-overhead also replays CUDA graphs, which is for small networks
        (metadata, head of a fusion), whose kernels take less time than their launches; on a CPU it is as default.
    resident : {"auto", "yes", "no"}
        Keep the stamps in the memory of the device.
    devices : int
        GPUs of one node (on a CPU: processes) that train the run together, each on its share of every batch.
    micro_batch : int
        Alerts per forward pass, 0 for the whole batch; gradients are accumulated, which CUDA graphs do not allow.
    score_batch : int
        Alerts per forward pass of validation and test.
    checkpoint_minutes, stop_margin_seconds : float
        Time between checkpoints within an epoch (0: each step); how long before the end of the budget to stop.
    """

    epochs: int = 25
    patience: int = 5
    min_improvement: float = 0.005
    batch_size: int = 64
    learning_rate: float = 1e-4
    warmup_epochs: int = 2
    warmup_start: float = 0.01
    final_fraction: float = 0.01
    schedule_by: str = "epoch"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float = 0.0
    drop_last: bool = True
    augment: bool = True
    max_alerts_per_source: int = 100
    precision: str = "auto"
    channels_last: bool = True
    compile: str = "no"
    deterministic: bool = True
    resident: str = "auto"
    devices: int = 1
    micro_batch: int = 0
    score_batch: int = 256
    checkpoint_minutes: float = 10.0
    stop_margin_seconds: float = 60.0

    @property
    def graphs(self) -> bool:
        """Whether the compiled network replays CUDA graphs, on a GPU."""
        return self.compile == GRAPHS

    @classmethod
    def parse(cls, settings: Mapping[str, Any], machine: Iterable[tuple[str, Any]] = ()) -> Recipe:
        """Make a recipe from settings, refusing what is unknown or out of bounds.

        `machine` holds further ones, of those alone that say how the machine is used (`NOT_IDENTITY`).

        Raises
        ------
        StudyError
            Names the key, what was found and what is allowed.
        """
        defaults = asdict(cls())
        for key, _ in machine:
            if key not in NOT_IDENTITY:
                known = f"one of {', '.join(NOT_IDENTITY)}"
                raise StudyError("--machine", f"{key!r} is unknown", known, suggestion(key, NOT_IDENTITY))
        settings = {**settings, **dict(machine)}
        for key, value in settings.items():
            _check(key, value, defaults)
        _check_together({**defaults, **settings})
        values = dict(settings)
        if "betas" in values:
            values["betas"] = tuple(map(float, values["betas"]))
        return cls(**values)

    def settings(self) -> dict[str, Any]:
        """All values, as JSON knows them."""
        return {**asdict(self), "betas": list(self.betas)}

    def for_one_device(self, rule: str) -> Recipe:
        """The same, for a rule that trains on one device.

        Raises
        ------
        StudyError
            Several are asked for.
        """
        if self.devices > 1:
            remedy = f"take it out for rule {rule} in the profile"
            raise StudyError(f"--machine devices={self.devices}", f"rule {rule} uses one", "devices=1", remedy)
        return self

    def identity(self) -> dict[str, Any]:
        """The values that make this training what it is: two that agree here may continue each other."""
        return {key: value for key, value in self.settings().items() if key not in NOT_IDENTITY}


def _check(key: str, value: Any, defaults: Mapping[str, Any]) -> None:
    """Refuse one setting, or say nothing."""
    if key not in defaults:
        close = difflib.get_close_matches(key, list(defaults), 1)
        remedy = f"did you mean {close[0]!r}?" if close else "remove it"
        raise StudyError(f"training.{key}", "unknown key", f"one of {[field.name for field in fields(Recipe)]}", remedy)
    expected = _expected(key, defaults[key])
    if not _allowed(key, value, defaults[key]):
        raise StudyError(f"training.{key}", f"is {value!r}", expected, "correct the value")


def _check_together(values: Mapping[str, Any]) -> None:
    """Refuse settings that exclude each other."""
    if values["compile"] == GRAPHS and values["micro_batch"]:
        raise StudyError(
            "--machine compile, micro_batch",
            f"compile={GRAPHS} with micro_batch={values['micro_batch']}: each replay of a CUDA graph overwrites the "
            "gradients that the one before has left",
            "one of the two",
            "say compile=default, or micro_batch=0",
        )


def _expected(key: str, default: Any) -> str:
    """What a key takes, in words."""
    if key in CHOICES:
        return f"one of {list(CHOICES[key])}"
    if key == "betas":
        return "two numbers in [0, 1)"
    if isinstance(default, bool):
        return "true or false"
    low, high = BOUNDS[key]
    return f"{'an integer' if isinstance(default, int) else 'a number'} from {low} to {high}"


def _allowed(key: str, value: Any, default: Any) -> bool:
    """Whether a key takes this value."""
    if key in CHOICES:
        return value in CHOICES[key]
    if key == "betas":
        return isinstance(value, list | tuple) and len(value) == 2 and all(0 <= float(beta) < 1 for beta in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    number = int if isinstance(default, int) else (int, float)
    low, high = BOUNDS[key]
    return isinstance(value, number) and low <= value <= high


def learning_rate_factor(recipe: Recipe, epochs_passed: float) -> float:
    """Share of the peak learning rate after a number of epochs: linear warm-up, then half a cosine.

    Parameters
    ----------
    epochs_passed : float
        0 at the start of the first epoch; whole numbers when the rate changes by epoch.
    """
    warmup, start, final = recipe.warmup_epochs, recipe.warmup_start, recipe.final_fraction
    if epochs_passed < warmup:
        return start + (1 - start) * epochs_passed / warmup
    cosine = math.cos(math.pi * (epochs_passed - warmup) / max(recipe.epochs - warmup, 1))
    return final + (1 - final) * (1 + cosine) / 2
