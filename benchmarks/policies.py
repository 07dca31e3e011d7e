"""Four policies on many objects: the package against the obvious loop in one process; the results must be equal.

The loop does what a reader of the definition would write first: for every object and policy it takes the alerts up to
each alert in turn and asks whether the policy holds for them. Times are of the processor, which other work on the
machine disturbs less than the clock on the wall.

    PYTHONPATH=workflow python benchmarks/policies.py [objects ...]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from alertgrid.policies import BTSBOT_POLICIES, Policy, apply_policy, timeline

ALERTS = 20


def catalogue(objects: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """`ALERTS` alerts per object in mixed order, and their scores."""
    rng = np.random.default_rng([seed, objects])
    n = objects * ALERTS
    source = rng.permutation(np.repeat(np.arange(objects), ALERTS))
    label, level = rng.integers(0, 2, objects), rng.uniform(17.5, 19.5, objects)
    columns = {"candid": rng.permutation(n), "objectId": np.char.add("ZTF", source.astype(str))}
    columns |= {"jd": 2459000.5 + rng.uniform(0, 60, n), "magpsf": level[source] + rng.exponential(0.4, n)}
    table = pd.DataFrame({**columns, "label": label[source]})
    return table, np.clip(0.5 * label[source] + rng.normal(0.2, 0.3, n), 0, 1)


def loop(table: pd.DataFrame, score: np.ndarray, policy: Policy) -> pd.DataFrame:
    """Save date and outcome of every object, one object and one alert at a time."""
    rows = []
    table = table.assign(score=score)
    for name, alerts in table.groupby("objectId"):
        alerts = alerts.sort_values(["jd", "candid"])
        saved = np.nan
        for count in range(1, len(alerts) + 1):
            so_far = alerts.iloc[:count]
            good = so_far[(so_far["score"] > policy.score) & (so_far["magpsf"] < policy.magnitude)]
            if len(good) >= policy.alerts and so_far["magpsf"].min() <= policy.brightest:
                saved = so_far["jd"].iloc[-1]
                break
        label = alerts["label"].max() > 0
        counts = len(alerts) >= 2 and (not label or alerts["magpsf"].min() <= 18.5)
        rows.append((name, saved - alerts["jd"].iloc[0] if label and counts else np.nan, label, counts, saved == saved))
    return pd.DataFrame(rows, columns=["objectId", "delay", "label", "counts", "saved"])


def measure(objects: int) -> None:
    """Print both times and their ratio; stop where the results differ."""
    table, score = catalogue(objects)
    repeats = []
    for _ in range(5):
        start = time.process_time()
        alerts = timeline(table)
        ours = [apply_policy(alerts, score, policy) for policy in BTSBOT_POLICIES]
        repeats.append(time.process_time() - start)
    start = time.process_time()
    plain = [loop(table, score, policy) for policy in BTSBOT_POLICIES]
    slow = time.process_time() - start
    for mine, theirs in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(mine.delay, theirs["delay"])
        found = (theirs["label"] & theirs["saved"] & theirs["counts"]).to_numpy()
        np.testing.assert_array_equal(mine.counts[:, 0] > 0, found)
    fast = float(np.median(repeats))
    print(
        f"{objects} objects x {ALERTS} alerts: {fast * 1e3:.1f} ms, loop {slow:.1f} s, ratio {slow / fast:.0f}",
        flush=True,
    )


if __name__ == "__main__":
    for size in [int(argument) for argument in sys.argv[1:]] or [500, 2000, 8000]:
        measure(size)
