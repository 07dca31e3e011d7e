"""How fast is the simulated sky? Alerts and corpus images per second of one core, best and median of several rounds.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow python benchmarks/simulation.py [rounds]

The two are timed in turn, so that a disturbance of the machine meets both. Seconds are of processor time, which other
jobs on the machine disturb least. The floor asked for is 100 per second.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import time

from alertgrid.sources.simulation import read
from alertgrid.sources.simulation.corpus import galaxy_corpus

SOURCES = {"trues": 30, "dims": 20, "vars": 30, "rejects": 60}
IMAGES = 200


def alerts(seed: int) -> int:
    """Number of alerts of one small sky, all of it made."""
    return sum(len(chunk.catalogue) for chunk in read(seed=seed, **SOURCES))


def images(seed: int) -> int:
    """Number of images of one small corpus, all of it made."""
    return len(galaxy_corpus(IMAGES, seed)[0])


def rates(rounds: int) -> dict[str, list[float]]:
    """Units per processor second of each stage in each round; a first round, which builds tables, is thrown away."""
    measured: dict[str, list[float]] = {"alerts": [], "corpus images": []}
    for seed in range(rounds + 1):
        for name, stage in zip(measured, (alerts, images), strict=True):
            start = time.process_time()
            with contextlib.redirect_stderr(io.StringIO()):
                count = stage(seed)
            measured[name].append(count / (time.process_time() - start))
    return {name: values[1:] for name, values in measured.items()}


if __name__ == "__main__":
    for name, values in rates(int(sys.argv[1]) if len(sys.argv) > 1 else 5).items():
        print(f"{name}: best {max(values):.0f}/s, median {statistics.median(values):.0f}/s of {len(values)} rounds")
