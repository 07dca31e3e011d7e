"""What does a run leave in the end? Its weights, history and predictions, and the record that explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..columns import STAMP_SETS
from ..energy import Meter
from ..files import remove_leftovers, write_json
from ..grid import RUN_FILES
from ..models import count_parameters
from ..predictions import write_predictions
from ..ranking import Ranking, roc_auc
from . import records
from .data import Feed
from .hardware import peak_memory
from .loop import Training
from .plan import Plan


@dataclass
class Result:
    """What training leaves: the network with its best weights, the last ones, and how it went."""

    model: nn.Module
    last: dict[str, torch.Tensor]
    feeds: dict[str, Feed]
    training: Training


def write(output: Path, plan: Plan, result: Result, scores: dict[str, np.ndarray], meter: Meter) -> dict[str, Any]:
    """Write the run folder, run.json last."""
    spec, val, state = plan.spec, result.feeds["val"], result.training.state
    record = _record(plan, result, float(roc_auc(Ranking.of(val.labels.cpu().numpy(), scores["val"]))[0]))
    record |= meter.record(whole=not state.resumed)
    remove_leftovers(*(output / name for name in RUN_FILES))
    records.write_weights(output / "weights.safetensors", result.model.state_dict())
    records.write_weights(output / "last.safetensors", result.last)
    records.write_history(output / "history.csv", state.history)
    rows = np.concatenate([plan.selection.val, plan.selection.test])
    split = np.repeat(["val", "test"], [len(plan.selection.val), len(plan.selection.test)])
    write_predictions(
        output / "predictions.h5",
        plan.data.catalogue["candid"].to_numpy()[rows],
        split,
        np.concatenate([scores["val"], scores["test"]]),
        {**asdict(spec), "cell": spec.cell},
    )
    write_json(output / "run.json", record)
    return record


def _record(plan: Plan, result: Result, val_auc: float) -> dict[str, Any]:
    """Everything a reader of this run must know."""
    spec, device, state, learner = plan.spec, plan.data.device, result.training.state, result.training.learner
    objects = plan.data.catalogue["objectId"].to_numpy()[plan.selection.train]
    seen = sum(row["alerts_per_second"] * row["seconds"] for row in state.history)
    return {
        "cell": spec.cell,
        **asdict(spec),
        "n_train_alerts": len(plan.selection.train),
        "n_train_sources": len(np.unique(objects)),
        "n_val_alerts": len(plan.selection.val),
        "n_parameters": count_parameters(result.model),
        "n_trained_parameters": count_parameters(learner.network, trainable=True),
        "best_epoch": state.best_epoch,
        "epochs": len(state.history),
        "best_val_loss": state.best_loss,
        "val_auc": val_auc,
        "wall_seconds": state.seconds,
        "alerts_per_second": seen / max(sum(row["seconds"] for row in state.history), 1e-9),
        "peak_memory_bytes": peak_memory(device),
        "device": str(device),
        "devices": learner.processes,
        "hardware": records.hardware(device),
        "precision": learner.precision,
        "precision_changed": state.precision_changed,
        "threads": torch.get_num_threads(),
        "settings": {
            "training": plan.recipe.settings(),
            # As given, since fusion rebuilds the network from them; and as they came out.
            "models": plan.models,
            "models_resolved": plan.resolved,
            "channels": list(STAMP_SETS[spec.stamps]),
        },
        "versions": records.versions(),
        "git_revision": records.git_revision(),
        "initial_weights": plan.sources.history(),
        "input_hashes": plan.hashes,
        "resumed": state.resumed,
        "micro_batch": learner.micro_batch,
    }


def summary(record: Mapping[str, Any]) -> str:
    """One line about a finished run."""
    return (
        f"{record['cell']} fraction {record['fraction']:g} seed {record['seed']}: val AUC {record['val_auc']:.4f}, "
        f"best epoch {record['best_epoch']} of {record['epochs']}, {record['wall_seconds']:.0f} s"
    )
