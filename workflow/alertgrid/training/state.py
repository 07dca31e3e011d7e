"""Where does a training stand?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class State:
    """Where a training stands.

    Attributes
    ----------
    epoch, position : int
        Whole epochs done, and steps done in the current one.
    best_loss : float
        Validation loss of the model kept as best.
    best_epoch : int
        1-based; 0 before the first epoch has ended.
    seconds : float
        Spent so far in all sessions: set-up, training, and at last the scores.
    epoch_seconds : float
        Spent so far in the current epoch.
    precision, precision_changed : str, bool
        Arithmetic while training; whether it was another one before: "auto" may mean another on another machine.
    finished : bool
        Training is over; predictions may still be missing.
    """

    epoch: int = 0
    position: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    resumed: int = 0
    micro_batch: int = 0
    precision: str = ""
    precision_changed: bool = False
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
