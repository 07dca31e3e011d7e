"""What did the trainings take? Time, GPU-hours, memory and energy of runs and of the encoders that they start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import read_json
from .dictionary import SCHEMAS

MIB = 2**20
RUN, PRETRAINING = "run", "pre-training"


def read_pretrainings(scores: Sequence[str | Path]) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Records of the pre-trainings, from the manifests beside their scores; those that cannot be read are problems."""
    rows, problems = [], []
    for path in map(Path, scores):
        try:
            rows.append({**read_json(path.with_name("manifest.json")), "kind": PRETRAINING, "cell": path.parent.name})
        except (OSError, ValueError) as error:
            problems.append((f"encoders: {path.parent.name}/manifest.json", f"cannot be read ({error})"))
    return pd.DataFrame(rows), problems


def training_cost(runs: pd.DataFrame, pretrainings: pd.DataFrame | None = None) -> pd.DataFrame:
    """Cost per cell and fraction, then per encoder; encoders have no fraction.

    Medians over runs, and sums of GPU-hours and energy over those that know them. Where several devices share a run,
    each of them counts.
    """
    keys = ["kind", "cell", "fraction"]
    records = pd.concat([runs.assign(kind=RUN), pretrainings], ignore_index=True)
    if not len(records):
        return pd.DataFrame(columns=list(SCHEMAS["training_cost"]))
    groups = records.assign(fraction=records.get("fraction", np.nan)).groupby(keys, sort=False, dropna=False)
    rows = [dict(zip(keys, key, strict=True)) | _cost(part) for key, part in groups]
    return pd.DataFrame(rows, columns=list(SCHEMAS["training_cost"]))


def _cost(part: pd.DataFrame) -> dict[str, float | int | str]:
    """Cost of the runs of one cell and fraction, or of one encoder."""
    number = {
        name: pd.to_numeric(part.get(name, pd.Series(index=part.index, dtype=float)), errors="coerce")
        for name in ("wall_seconds", "alerts_per_second", "peak_memory_bytes", "energy_joules", "devices")
    }
    device = part["device"].astype(str) if "device" in part else pd.Series("", index=part.index)
    on_gpu = device.str.contains("cuda|nvidia", case=False)
    device_seconds = number["wall_seconds"] * number["devices"].fillna(1)
    return {
        "n_runs": len(part),
        "wall_seconds": number["wall_seconds"].median(),
        "alerts_per_second": number["alerts_per_second"].median(),
        "gpu_hours": device_seconds[on_gpu].sum() / 3600,
        "peak_memory_mb": number["peak_memory_bytes"].median() / MIB,
        **_energy(part, number["energy_joules"]),
    }


def _energy(part: pd.DataFrame, joules: pd.Series) -> dict[str, float | int | str]:
    """Sum in Wh over the runs that know it (NaN without any), their number, and which counters were read."""
    known = part["energy_of"][joules.notna()].dropna() if "energy_of" in part else []
    return {
        "energy_wh": joules.sum(min_count=1) / 3600,
        "n_energy": int(joules.notna().sum()),
        "energy_of": "; ".join(dict.fromkeys(filter(None, known))),
    }
