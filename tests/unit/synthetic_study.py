"""The alerts beside the synthetic report: catalogue, stamps, predictions and refused rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from alertgrid.columns import CATALOGUE_COLUMNS, METADATA_COLUMNS, SOURCE_SETS
from alertgrid.dataset import write_catalogue, write_dataset
from alertgrid.predictions import write_predictions
from alertgrid.sources import Chunk
from synthetic_report import write_tables


def catalogue(count: int = 400) -> pd.DataFrame:
    """A catalogue with every source set, split and band."""
    generator = np.random.default_rng(0)
    source = generator.integers(0, count // 3, count)
    sets = np.array(SOURCE_SETS)[source % 4]
    return pd.DataFrame(
        {
            "candid": 10**18 + np.arange(count),
            "objectId": [f"ZTF24aa{number:05d}" for number in source],
            "jd": 2460000.5 + np.sort(generator.uniform(0, 90, count)),
            "fid": generator.integers(1, 3, count),
            "magpsf": generator.normal(18.4, 0.8, count),
            "isdiffpos": "t",
            "ra": generator.uniform(0, 360, count),
            "dec": generator.uniform(-30, 90, count),
            "label": (sets == "trues").astype("int64"),
            "source_set": sets,
            "split": np.array(["train", "val", "test"])[np.array([0, 0, 0, 1, 2])[source % 5]],
        }
    )[list(CATALOGUE_COLUMNS)]


def write_study(folder: Path, count: int = 400) -> dict[str, Path]:
    """Write tables, catalogue, a dataset with a blob per stamp, and predictions of one run."""
    rows = catalogue(count)
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:63, :63] - 31
    blob = np.exp(-(x**2 + y**2) / 8)
    stamps = generator.normal(0, 0.05, (count, 3, 63, 63)) + blob * generator.uniform(0.2, 1, (count, 3, 1, 1))
    stamps[: count // 40, 1, :, 50:] = 0
    stamps /= np.sqrt((stamps**2).sum(axis=(2, 3), keepdims=True))
    paths = {name: folder / name for name in ("tables", "catalogue.h5", "dataset.h5", "refused.csv", "predictions.h5")}
    write_tables(paths["tables"])
    write_catalogue(paths["catalogue.h5"], rows)
    metadata = np.zeros((count, len(METADATA_COLUMNS)), np.float32)
    chunk = Chunk(rows, metadata, stamps.astype(np.float32))
    write_dataset(paths["dataset.h5"], paths["refused.csv"], [chunk], source="test")
    score = np.clip(generator.normal(0.25 + 0.5 * rows["label"], 0.2), 0, 1)
    write_predictions(paths["predictions.h5"], rows["candid"].to_numpy(), rows["split"].to_numpy(), score, {})
    refused = pd.DataFrame({"file": "alerts.avro", "row": [3, 9], "candid": ["1", "2"], "object_id": "ZTF24x"})
    refused.assign(reason=["cutout is all zero", "cutout is all zero"]).to_csv(paths["refused.csv"], index=False)
    return paths
