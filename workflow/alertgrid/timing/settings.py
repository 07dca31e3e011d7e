"""What a timing of inference varies and how often it measures; read by the plan too, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StudyError


@dataclass(frozen=True)
class Sweep:
    """What is varied and how often it is measured.

    Attributes
    ----------
    precisions : sequence of {"fp32", "bf16"}
        bf16 is autocast with channels-last stamps.
    modes : sequence of {"eager", "compiled"}
    batches : sequence of int
        Alerts per call.
    warmup, repeats : int
        Calls before measuring, three at least, and measured calls of each network.
    max_seconds : float
        Measuring of one setting stops after this time, but not before three calls of each network; a batch of which one
        call would take longer, going by the batch before, is left out.
    threads : int, optional
        CPU threads; None keeps torch's own choice.
    seed : int
        Of the weights and the stamps.
    """

    precisions: Sequence[str] = ("fp32", "bf16")
    modes: Sequence[str] = ("eager",)
    batches: Sequence[int] = (1, 8, 64, 256, 1024)
    warmup: int = 3
    repeats: int = 20
    max_seconds: float = 10.0
    threads: int | None = None
    seed: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Sweep:
        """A sweep from a mapping of settings; unknown keys are refused."""
        check(settings, cls.__dataclass_fields__, "sweep")
        return cls(**settings)

    def __post_init__(self) -> None:
        check(self.precisions, ("fp32", "bf16"), "precisions")
        check(self.modes, ("eager", "compiled"), "modes")


def check(values: Iterable[str], known: Iterable[str], key: str) -> None:
    """Refuse an unknown setting."""
    for value in values:
        if value not in known:
            raise StudyError(f"timing.{key}", f"{value!r} is unknown", f"any of {', '.join(known)}", "correct it")
