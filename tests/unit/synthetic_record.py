"""run.json of a small finished study, with the keys that the trainer writes (a test compares them)."""

from __future__ import annotations


def record(cell: str, axes: dict, n_parameters: float, fraction: float, seed: int) -> dict:
    """run.json of one run, with the keys that the trainer writes."""
    return {
        "cell": cell, **axes, "fraction": fraction, "seed": seed, "draw": seed,
        "n_train_alerts": round(51000 * fraction), "n_train_sources": round(3400 * fraction), "n_val_alerts": 5200,
        "n_parameters": int(n_parameters), "best_epoch": 7, "epochs": 12, "best_val_loss": 0.21,
        "wall_seconds": 812.5 * fraction, "alerts_per_second": 940.0, "peak_memory_bytes": 1.2e9,
        "device": "cuda:0", "precision": "bf16", "threads": 4, "git_revision": "0123abc" * 5 + "01234",
        "hardware": {"device_name": "Tesla T4", "host": "node1", "cpu_count": 8, "driver": "570.86.15"},
        "settings": {"training": {"learning_rate": 1e-4, "batch_size": 64}},
        "versions": {"python": "3.11.7", "torch": "2.11.0"},
        "initial_weights": _initial_weights(cell),
        "input_hashes": {"dataset": "ab" * 32, "catalogue": "cd" * 32, **_started_from(cell, seed)},
        "resumed": int(seed == 2),
    }  # fmt: skip


def _initial_weights(cell: str) -> dict[str, str]:
    if "galaxies" not in cell:
        return {"label": "random"}
    return {"label": "simulated galaxies", "origin": "pretraining:galaxies", "revision": "af33", "sha256": "ef" * 32}


def _started_from(cell: str, seed: int) -> dict[str, str]:
    """Hashes of the encoder's weights, or of the two runs that a fusion joins."""
    if "fusion" in cell:
        return {f"{part}_run": f"{part[0]}{seed}{cell.split('-')[1]}" for part in ("image", "metadata")}
    return {"encoder": "ef" * 32} if "galaxies" in cell else {}
