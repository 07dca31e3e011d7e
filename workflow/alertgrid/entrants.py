"""How does a published model do on the alerts of a study? Scored on the same rows as our runs, without any training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .dataset import open_stamps, read_catalogue, read_metadata
from .files import read_json, sha256, write_json
from .models import count_parameters
from .predictions import write_predictions
from .progress import Progress
from .training.data import data_hashes
from .training.hardware import arithmetic, choose_device, peak_memory
from .training.records import git_revision, hardware, versions
from .weights import MANIFEST
from .weights.published import CONFIG, WEIGHTS, load_published


def predict_published(
    folder: str | Path,
    dataset: str | Path,
    catalogue: str | Path,
    output: str | Path,
    *,
    name: str = "",
    device: str = "auto",
    batch: int = 256,
    threads: int | None = None,
) -> dict[str, Any]:
    """Score the val and test alerts of a study with a released BTSbot model, as an entrant that needs no training.

    Parameters
    ----------
    folder, dataset, catalogue : path
        Released model (see `published.load_published`), dataset.h5 and the study's catalogue.h5.
    output : path
        Folder for predictions.h5 and, at last, run.json.
    name : str
        Name of the entrant; the folder's by default.
    device, batch, threads : str, int, int
        auto, cpu or cuda; alerts per forward pass; threads of the CPU.

    Returns
    -------
    dict
        The content of run.json.

    Raises
    ------
    StudyError
        Files of the model are absent, changed, or of another network.
    """
    where, name = choose_device(device), name or Path(folder).name
    table = read_catalogue(catalogue)
    rows = np.flatnonzero(table["split"].isin(["val", "test"]))
    model = load_published(folder).to(where)
    began = time.monotonic()
    with arithmetic(where, threads=threads, deterministic=True):
        scores = _score(model, dataset, rows, where, batch, name)
    seconds = time.monotonic() - began
    size = {"n_parameters": count_parameters(model), "n_alerts": len(rows), "wall_seconds": seconds}
    hashes = data_hashes(dataset, catalogue)
    record = {"cell": name, **_source(Path(folder)), **size, "input_hashes": hashes, **_place(where)}
    candid, split = (table[column].to_numpy()[rows] for column in ("candid", "split"))
    write_predictions(Path(output) / "predictions.h5", candid, split, scores, {"cell": name})
    write_json(Path(output) / "run.json", record)
    return record


def _place(device: torch.device) -> dict[str, Any]:
    """Where and with what the scores were computed."""
    found = {"device": str(device), "hardware": hardware(device), "peak_memory_bytes": peak_memory(device)}
    return {**found, "versions": versions(), "git_revision": git_revision()}


def _score(
    model: nn.Module, dataset: str | Path, rows: np.ndarray, device: torch.device, batch: int, name: str
) -> np.ndarray:
    """Probability of the label 1 of each row, (n,) float64; stamps are read from the mapped file batch by batch."""
    stamps, metadata = open_stamps(dataset), read_metadata(dataset)
    progress, scores = Progress(len(rows), name), []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            chosen = rows[start : start + batch]
            inputs = (torch.from_numpy(values[chosen].astype(np.float32)).to(device) for values in (stamps, metadata))
            scores.append(torch.sigmoid(model(*inputs).double()).cpu().numpy())
            progress.step(len(chosen))
    return np.concatenate(scores)


def _source(folder: Path) -> dict[str, Any]:
    """Origin, revision, licence and kind of a released model, and the SHA-256 of its files."""
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    config = read_json(folder / CONFIG)
    parts = [config.get("model_name"), config.get("image_model_config", config).get("model_kind")]
    return {
        "origin": manifest.get("origin", "local"),
        "revision": manifest.get("revision", ""),
        "licence": manifest.get("licence", ""),
        "network": " ".join(filter(None, parts)),
        "model_hashes": {name: sha256(folder / name) for name in (WEIGHTS, CONFIG)},
    }
