"""Made-up files of the published format, right or wrong in one place, and what the reader makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.sources import btsbot
from alertgrid.stamps import preprocess_cutouts

FIRST = 2_466_440_000_000_000_001  # more digits than a float holds


def write_split(folder: Path, split: str = "train", count: int = 6, first: int = 0, **columns) -> pd.DataFrame:
    """Write one split with unit-norm stamps and a table that is right unless `columns` say otherwise."""
    rng = np.random.default_rng(first)
    stamps = preprocess_cutouts(rng.normal(10, 1, (count, 3, 63, 63)))
    np.save(folder / f"{split}_triplets.npy", stamps.transpose(0, 2, 3, 1))
    table = pd.DataFrame(rng.uniform(1, 2, (count, len(METADATA_COLUMNS))), columns=METADATA_COLUMNS)
    table = table.assign(
        objectId=[f"ZTF18{split[:3]}aaa{n // 2}" for n in range(count)],
        candid=np.arange(count) + FIRST + first,
        jd=2_459_000.5 + np.arange(count) / 7,
        fid=1 + np.arange(count) % 2,
        isdiffpos="t",
        label=np.arange(count) // 2 % 2,
        source_set=np.where(np.arange(count) // 2 % 2, "trues", "vars"),
    )
    table = table.assign(**columns)
    table.to_csv(folder / f"{split}_cand.csv", index=False)
    return table


def rewrite(folder: Path, column: str, row: int, value: object, split: str = "train") -> None:
    """Put one value into a table already written."""
    path = folder / f"{split}_cand.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[row, column] = value
    table.to_csv(path, index=False)


def edit_stamps(folder: Path, change) -> None:
    """Change the training stamps already written."""
    path = folder / "train_triplets.npy"
    np.save(path, change(np.load(path)))


def read_all(folder: Path, **settings) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, list]:
    chunks = list(btsbot.read(folder=str(folder), **settings))
    return (
        pd.concat([chunk.catalogue for chunk in chunks], ignore_index=True),
        np.concatenate([chunk.metadata for chunk in chunks]),
        np.concatenate([chunk.stamps for chunk in chunks]),
        [refusal for chunk in chunks for refusal in chunk.refused],
    )
