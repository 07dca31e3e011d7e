"""When must a run stop before its end? On SIGTERM or SIGUSR2, or when the time given to it runs out.

Slurm sends SIGTERM (with SIGCONT) before it kills, submitit has it send SIGUSR2; `--budget-seconds`, `--deadline` and
SLURM_JOB_END_TIME name the end of the time. A signal only sets a flag: the run saves at its next step and leaves with
exit status 75 (EX_TEMPFAIL), which says "start me again".
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from ..errors import Interrupted

EXIT_STATUS = os.EX_TEMPFAIL
WARNINGS = (signal.SIGTERM, signal.SIGUSR2)


class Watch:
    """Knows whether to go on.

    Parameters
    ----------
    deadline : float, optional
        Seconds since 1970 at which the time ends.
    margin : float
        Seconds before the deadline at which to stop.
    """

    def __init__(self, deadline: float | None = None, margin: float = 0.0):
        self.stop_at = None if deadline is None else deadline - margin
        self.received: list[int] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Watch:
        # Python runs handlers in the main thread only; elsewhere (tests, notebooks) the clock alone is watched.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._remember) for number in WARNINGS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        for number in dict.fromkeys(self.received):
            # Too late for this run, but the one who started it must not begin another.
            if callable(self._previous[number]):
                self._previous[number](number, None)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)

    @property
    def signal(self) -> str | None:
        """Name of the first signal that came."""
        return signal.Signals(self.received[0]).name if self.received else None

    def reason(self) -> str | None:
        """Why to stop now, or None."""
        if self.signal:
            return f"{self.signal} received"
        if self.stop_at is not None and time.time() >= self.stop_at:
            return "the time given to this run is used up"
        return None

    def check(self) -> None:
        """Leave work that keeps nothing of its own.

        Raises
        ------
        Interrupted
            With the reason.
        """
        if reason := self.reason():
            raise Interrupted(reason)


def find_deadline(deadline: float | None = None, budget_seconds: float | None = None) -> float | None:
    """The earliest of a given end, a given duration from now and the scheduler's own end, in seconds since 1970."""
    ends = [deadline, budget_seconds and time.time() + budget_seconds]
    if (scheduled := os.environ.get("SLURM_JOB_END_TIME", "")).isdigit():
        ends.append(float(scheduled))
    return min((end for end in ends if end is not None), default=None)
