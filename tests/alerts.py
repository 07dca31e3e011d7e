"""Made-up alerts that break no rule: the smallest data that every ring of tests can use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from alertgrid.columns import METADATA_COLUMNS, SOURCE_SETS
from alertgrid.sources import Chunk


def make_chunk(count: int = 120, objects: int = 40, seed: int = 0) -> Chunk:
    """Alerts of `objects` objects whose brightness at the centre of the difference tells the label."""
    rng = np.random.default_rng(seed)
    number = np.arange(count) % objects
    label = (number % 4 == 0).astype(int)
    stamps = rng.normal(0, 0.01, (count, 3, 63, 63)).astype(np.float32)
    stamps[:, 2, 30:33, 30:33] += 0.2 * label[:, None, None]
    catalogue = pd.DataFrame(
        {
            "candid": np.arange(count, dtype=np.int64) + 2_466_440_000_000_000_001,
            "objectId": [f"ZTF23a{n:04d}" for n in number],
            "jd": 2_460_000.5 + np.arange(count) * 0.01,
            "fid": 1 + np.arange(count) % 2,
            "magpsf": rng.uniform(16, 20, count),
            "isdiffpos": "t",
            "ra": rng.uniform(0, 360, count),
            "dec": rng.uniform(-30, 80, count),
            "label": label,
            "source_set": np.array(SOURCE_SETS)[number % 4],
            "split": "",
        }
    )
    metadata = rng.normal(0, 1, (count, len(METADATA_COLUMNS))).astype(np.float32)
    return Chunk(catalogue, metadata + label[:, None].astype(np.float32), stamps)


def write_published(folder: Path, labels: Mapping[int, int] | None = None) -> None:
    """Write made-up alerts as the published CSV and npy, one pair per split; `labels` replaces some of train's."""
    folder.mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        chunk = make_chunk(40, 20, seed=number)
        table = chunk.catalogue.assign(**dict(zip(METADATA_COLUMNS, chunk.metadata.T, strict=True)))
        table["candid"] += 1000 * number
        table["objectId"] += split
        for row, label in (labels or {}).items() if split == "train" else ():
            table.loc[row, "label"] = label
        table.to_csv(folder / f"{split}_cand.csv", index=False)
        norms = np.linalg.norm(chunk.stamps, axis=(2, 3), keepdims=True)
        np.save(folder / f"{split}_triplets.npy", (chunk.stamps / norms).transpose(0, 2, 3, 1))
