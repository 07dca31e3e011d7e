"""One run of the grid from its data to its folder: set up, resume, train, predict, write."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..checkpoints import Checkpoints
from ..dataset import read_catalogue
from ..energy import Meter
from ..errors import StudyError
from ..locks import HANDOVER_SECONDS, hold
from . import parallel, setup
from .data import Data, load_data
from .finished import Finished
from .hardware import arithmetic, forget_peak
from .interrupts import Watch
from .loop import Training, scores_of
from .outcome import Result, write
from .plan import Plan, select_rows
from .recipe import Recipe
from .spec import RunSpec, Sources


def open_data(
    dataset: str | Path,
    catalogue: str | Path,
    specs: Sequence[RunSpec],
    *,
    recipe: Recipe,
    device: str | torch.device = "auto",
    memory_mb: int | None = None,
) -> Data:
    """Open a dataset with the rows and arrays that these runs of one stamp set need; they may share it."""
    table = read_catalogue(catalogue)
    rows = np.zeros(len(table), bool)
    for spec in specs:
        with contextlib.suppress(StudyError):  # one that finds no rows must not stop the others: `train_run` refuses it
            rows[select_rows(table, spec, recipe).rows] = True
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
        memory_mb=memory_mb,
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
    plan = Plan(data, spec, recipe, models, sources or Sources(), after_epoch)
    return _carry_out(plan, Path(output), Path(checkpoints), threads, deadline, code)


def _carry_out(
    plan: Plan, output: Path, checkpoints: Path, threads: int | None, deadline: float | None, code: str
) -> dict[str, Any]:
    """Train, score and write under the lock of the run."""
    recipe = plan.recipe
    forget_peak(plan.data.device)
    with (
        hold(checkpoints / "lock.json", f"training of {plan.spec.name}", HANDOVER_SECONDS) as lock,
        Watch(deadline, recipe.stop_margin_seconds) as watch,
        arithmetic(plan.data.device, threads=threads, deterministic=recipe.deterministic),
        Meter(plan.data.device, devices=parallel.size()) as meter,
    ):
        keeper = parallel.keeper(Checkpoints(checkpoints, plan.fingerprint(), code, guard=lock.check))
        result = _train(plan, keeper, watch)
        scores = {name: _score(result, name, watch) for name in ("val", "test")}
        result.training.count_time()
        lock.check()
        record = write(output, plan, result, scores, meter)
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
    plan = Plan(data, spec, recipe, models, sources or Sources())
    with arithmetic(data.device, threads=threads, deterministic=recipe.deterministic):
        result = _train(plan, parallel.SharedCheckpoints(), Watch())
        for name in ("val", "test"):
            _score(result, name, Watch())


def _train(plan: Plan, keeper: Checkpoints, watch: Watch) -> Result:
    """Set up, resume, train, take the best weights."""
    began = time.monotonic()
    data, spec, recipe = plan.data, plan.spec, plan.recipe
    model = setup.initial_model(data, spec, recipe, plan.models, plan.sources)
    feeds, network, spent = setup.make_feeds(model, data, spec, recipe, plan.selection, keeper, watch.check)
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
        began=began,
        spent=spent,
    )
    training.run()
    last = {name: value.clone() for name, value in model.state_dict().items()}
    network.load_state_dict(training.best)
    return Result(model, last, feeds, training)


def _score(result: Result, name: str, watch: Watch) -> np.ndarray:
    """Scores of a split from the best weights, in float32."""
    return scores_of(result.training.learner.score(result.feeds[name], "fp32", watch.check))
