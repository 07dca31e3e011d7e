"""One run of the grid from its data to its folder: set up, resume, train, predict, record."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..checkpoints import Checkpoints
from ..columns import STAMP_SETS
from ..dataset import read_catalogue
from ..energy import Meter
from ..errors import StudyError
from ..files import write_json
from ..locks import HANDOVER_SECONDS, hold
from ..models import count_parameters
from ..predictions import write_predictions
from ..ranking import Ranking, roc_auc
from . import parallel, records, setup
from .data import Data, Feed, load_data
from .finished import Finished, fingerprint, resolved
from .hardware import arithmetic, forget_peak, peak_memory
from .interrupts import Watch
from .loop import State, Training, scores_of
from .recipe import Recipe
from .selection import Selection, select
from .spec import RunSpec, Sources
from .step import Learner


def open_data(
    dataset: str | Path,
    catalogue: str | Path,
    specs: Sequence[RunSpec],
    *,
    recipe: Recipe,
    device: str | torch.device = "auto",
) -> Data:
    """Open a dataset with the rows and arrays that these runs of one stamp set need; they may share it."""
    table = read_catalogue(catalogue)
    rows = np.zeros(len(table), bool)
    for spec in specs:
        with contextlib.suppress(StudyError):  # one that finds no rows must not stop the others: `train_run` refuses it
            rows[_select(table, spec, recipe).rows] = True
    kinds = {spec.inputs for spec in specs}
    return load_data(
        dataset,
        catalogue,
        images=kinds != {"metadata"},
        metadata=kinds != {"image"},
        stamps=specs[0].stamps,
        device=device,
        rows=np.flatnonzero(rows),
        resident=recipe.resident,
    )


def _select(catalogue: pd.DataFrame, spec: RunSpec, recipe: Recipe) -> Selection:
    """Rows and labels of a run."""
    return select(
        catalogue,
        fraction=spec.fraction,
        draw=spec.draw,
        n_max=recipe.max_alerts_per_source,
        labels=spec.labels,
        seed=spec.seed,
    )


def train_run(
    data: Data,
    spec: RunSpec,
    *,
    recipe: Recipe,
    models: Mapping[str, Any],
    output: str | Path,
    checkpoints: str | Path,
    sources: Sources | None = None,
    threads: int | None = None,
    deadline: float | None = None,
    code: str = "",
    after_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Train one run, or go on with it, and write its folder.

    Parameters
    ----------
    data : Data
        From `open_data`; may be shared by several runs.
    spec, recipe, models, sources : RunSpec, Recipe, mapping, Sources
        Which run, how it is trained, settings of the networks (see `models.settings`), weights to start from.
    output : path
        Run folder: weights.safetensors (best), last.safetensors, history.csv, predictions.h5 and, at last, run.json.
    checkpoints : path
        Folder of the checkpoints and the lock, outside the outputs; at the end it holds links to the outputs alone
        (see `finished`).
    threads, deadline : int, float, optional
        Threads of the CPU; seconds since 1970 at which the time ends.
    code : str
        Hash of the code that trains; a checkpoint is continued by, and a result given back to, the same code only.
    after_epoch : callable, optional
        Called with each row of the history; may raise to give the run up, which leaves its checkpoint.

    Returns
    -------
    dict
        The content of run.json.

    Raises
    ------
    Interrupted
        Stopped before the end by a signal or the deadline; saved.
    StudyError
        Bad input, a loss that is not a number, or another trainer at work on this run.
    """
    plan = _Plan(data, spec, recipe, models, sources or Sources(), after_epoch)
    return _carry_out(plan, Path(output), Path(checkpoints), threads, deadline, code)


def _carry_out(
    plan: _Plan, output: Path, checkpoints: Path, threads: int | None, deadline: float | None, code: str
) -> dict[str, Any]:
    """Train, score and write under the lock of the run."""
    recipe = plan.recipe
    forget_peak(plan.data.device)
    with (
        hold(checkpoints / "lock.json", f"training of {plan.spec.name}", HANDOVER_SECONDS) as lock,
        Watch(deadline, recipe.stop_margin_seconds) as watch,
        arithmetic(plan.data.device, threads=threads, deterministic=recipe.deterministic),
        Meter(plan.data.device) as meter,
    ):
        keeper = parallel.keeper(Checkpoints(checkpoints, plan.fingerprint(), code, guard=lock.check))
        result = _train(plan, keeper, watch)
        scores = {name: _score(result, name, watch) for name in ("val", "test")}
        lock.check()
        record = _write(output, plan, result, scores, meter)
        Finished(checkpoints, keeper.fingerprint + code).keep(output)
        keeper.clear()
    return record


def follow_run(
    data: Data,
    spec: RunSpec,
    *,
    recipe: Recipe,
    models: Mapping[str, Any],
    sources: Sources | None = None,
    threads: int | None = None,
) -> None:
    """Do this process's share of a run that another process leads by `train_run` (see `parallel`); leaves nothing."""
    plan = _Plan(data, spec, recipe, models, sources or Sources())
    with arithmetic(data.device, threads=threads, deterministic=recipe.deterministic):
        result = _train(plan, parallel.SharedCheckpoints(), Watch())
        for name in ("val", "test"):
            _score(result, name, Watch())


class _Plan:
    """What a run is, before anything is built."""

    def __init__(
        self, data: Data, spec: RunSpec, recipe: Recipe, models: Mapping[str, Any], sources: Sources, after_epoch=None
    ):
        self.after_epoch = after_epoch
        self.data, self.spec, self.recipe, self.models, self.sources = data, spec, recipe, dict(models), sources
        self.selection = _select(data.catalogue, spec, recipe)
        self.resolved = resolved(spec.architecture, models)
        self.hashes = {**data.hashes, **sources.hashes()}

    def fingerprint(self) -> str:
        """What this run is, in one hash."""
        return fingerprint(self.spec, self.recipe, self.models, self.hashes)


@dataclass
class _Result:
    """What training leaves: the network with its best weights, the last ones, and how it went."""

    model: nn.Module
    last: dict[str, torch.Tensor]
    learner: Learner
    feeds: dict[str, Feed]
    state: State


def _train(plan: _Plan, keeper: Checkpoints, watch: Watch) -> _Result:
    """Set up, resume, train, take the best weights."""
    data, spec, recipe = plan.data, plan.spec, plan.recipe
    model = setup.initial_model(data, spec, recipe, plan.models, plan.sources)
    feeds, network = setup.make_feeds(model, data, spec, recipe, plan.selection, watch.check)
    learner = parallel.share(setup.make_learner(network, feeds["train"], data, spec, recipe))
    if len(feeds["train"]) < recipe.batch_size:
        print(f"{spec.name}: {len(feeds['train'])} training alerts are less than a batch; kept whole", file=sys.stderr)
    training = Training(
        learner,
        feeds["train"],
        feeds["val"],
        recipe=recipe,
        seed=spec.seed,
        checkpoints=keeper,
        watch=watch,
        name=spec.name,
        after_epoch=plan.after_epoch,
    )
    state = training.run()
    last = {name: value.clone() for name, value in model.state_dict().items()}
    network.load_state_dict(training.best)
    return _Result(model, last, learner, feeds, state)


def _score(result: _Result, name: str, watch: Watch) -> np.ndarray:
    """Scores of a split from the best weights, in float32."""
    return scores_of(result.learner.score(result.feeds[name], "fp32", watch.check))


def _write(output: Path, plan: _Plan, result: _Result, scores: dict[str, np.ndarray], meter: Meter) -> dict[str, Any]:
    """Write the run folder, run.json last."""
    spec, val = plan.spec, result.feeds["val"]
    record = _record(plan, result, float(roc_auc(Ranking.of(val.labels.cpu().numpy(), scores["val"]))[0]))
    record |= meter.record(whole=not result.state.resumed)
    records.write_weights(output / "weights.safetensors", result.model.state_dict())
    records.write_weights(output / "last.safetensors", result.last)
    records.write_history(output / "history.csv", result.state.history)
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


def _record(plan: _Plan, result: _Result, val_auc: float) -> dict[str, Any]:
    """Everything a reader of this run must know."""
    spec, state, learner, device = plan.spec, result.state, result.learner, plan.data.device
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
