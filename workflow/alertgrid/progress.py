"""Progress a person can read in a log: done, rate, time left."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TextIO


def announce(line: str, console: int | None = None) -> None:
    """Print a line that a person waits for: into the log, and to the console where a job has one beside its log.

    Parameters
    ----------
    console : int, optional
        Open file descriptor. One that is closed meanwhile, as when the terminal has gone, is no reason to fail.
    """
    print(line, flush=True)
    if console is not None:
        with contextlib.suppress(OSError):
            os.write(console, f"{line}\n".encode())


class Progress:
    """Prints one line every few seconds while long work goes on.

    Parameters
    ----------
    total : int
        Number of units in all (0 when unknown).
    what : str
        Name of the work, first on each line.
    unit : str
        What is counted.
    every_seconds : float
        Least time between two lines; the last unit always prints.
    """

    def __init__(
        self, total: int, what: str, unit: str = "alerts", every_seconds: float = 5.0, stream: TextIO | None = None
    ):
        self.total, self.what, self.unit, self.every = total, what, unit, every_seconds
        self.stream = stream
        self.done = 0
        self.start = self.printed = time.monotonic()

    def step(self, count: int = 1, **values: float) -> None:
        """Count `count` more units; `values` are printed beside the rate."""
        self.done += count
        now = time.monotonic()
        if now - self.printed >= self.every or (self.total and self.done >= self.total):
            self.printed = now
            print(self.line(now, **values), file=self.stream or sys.stderr, flush=True)

    def line(self, now: float, **values: float) -> str:
        """One line of progress at the monotonic time `now`."""
        rate = self.done / max(now - self.start, 1e-9)
        text = f"{self.what} {self.done}{f'/{self.total}' if self.total else ''} {self.unit} {rate:.0f}/s"
        if self.total:
            text += f" {max(self.total - self.done, 0) / max(rate, 1e-9):.0f} s left"
        return text + "".join(f" {name}={value:.4g}" for name, value in values.items())
