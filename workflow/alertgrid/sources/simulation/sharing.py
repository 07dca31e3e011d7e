"""Work that processes share: each item is drawn by its own number alone, so any number gives the same result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

PIECE = 8  # sources or galaxies that a process draws at a time: some tenths of a second
AHEAD = 4  # pieces per process under way, so that none waits and no more than these are in memory
WORTH_PROCESSES = 200  # below this, processes take longer to start than they save

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Results of a function for each item, in the order of the items, from `workers` processes.

    Parameters
    ----------
    function : callable
        Of one item; it and its results must be picklable, and it must not depend on earlier calls.
    items : sequence
        With few of them no process is started.
    workers : int
        Number of processes; 1 does all work in this one.
    """
    if workers <= 1 or len(items) < WORTH_PROCESSES:
        yield from map(function, items)
        return
    # Spawned, not forked: a fork of a process with threads (BLAS) may hang.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = deque()
        for start in range(0, len(items), PIECE):
            waiting.append(pool.submit(_all_of, function, items[start : start + PIECE]))
            if len(waiting) >= AHEAD * workers:
                yield from waiting.popleft().result()
        for job in waiting:
            yield from job.result()


def _all_of(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results of a piece of the work, in a worker process."""
    return [function(item) for item in items]
