"""`python -m alertgrid tune`: search the settings of one cell, judged by the loss on validation objects."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from ..columns import STAMP_SETS
from ..figures.tuning import write_tuning_figures
from ..files import sha256_text
from ..grid import cell_name
from ..launch.profile import Profile, read_profile
from ..launch.scheduler import end_of_job
from ..options import add_machine_option, mapping
from ..settings.study import merge
from .journal import Search
from .search import tune

# Trials on this machine have no limit; submitit's own is five minutes, and it starts a worker again six times only.
LOCAL_MINUTES = 30 * 24 * 60
# What a trial asks of Slurm, in the profile's words -> in submitit's, and how the value is turned into one of its type.
WORDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "partition": ("slurm_partition", str),
    "account": ("slurm_account", str),
    "gres": ("slurm_gres", str),
    "gpu": ("slurm_gpus_per_node", str),
    "runtime": ("timeout_min", int),
    "mem_mb": ("mem_gb", lambda megabytes: megabytes / 1000),
    "threads": ("cpus_per_task", int),
}


@dataclass(frozen=True)
class TrainingObjective:
    """Trains one run with the drawn settings over the given ones; its value is the lowest validation loss.

    Test objects play no part in the value. `training` and `models` are the settings that a draw replaces; `code` is the
    hash of the code that trains, `machine` how it uses what it is given. A training saves and stops before the end of
    the Slurm job that it runs in.
    """

    dataset: Path
    catalogue: Path
    axes: Mapping[str, Any]
    training: Mapping[str, Any]
    models: Mapping[str, Any]
    encoder: Path | None = None
    device: str = "auto"
    threads: int | None = None
    code: str = ""
    machine: Sequence[tuple[str, Any]] = ()

    def __call__(self, settings: Mapping[str, Any], folder: Path, report: Callable[[int, float], None]) -> float:
        """Lowest validation loss; a trial that is ended early leaves no checkpoint behind."""
        from .. import training

        def after_epoch(row: Mapping[str, float]) -> None:
            try:
                report(int(row["epoch"]), row["val_loss"])
            except optuna.TrialPruned:
                shutil.rmtree(folder / "checkpoints")
                raise

        recipe = training.Recipe.parse(merge(self.training, settings.get("training", {})), self.machine)
        spec = training.RunSpec(**self.axes)
        record = training.train_run(
            training.open_data(self.dataset, self.catalogue, [spec], recipe=recipe, device=self.device),
            spec,
            recipe=recipe,
            models=merge(self.models, settings.get("models", {})),
            output=folder / "run",
            checkpoints=folder / "checkpoints",
            sources=training.Sources(self.encoder),
            threads=self.threads,
            deadline=min(filter(None, (training.find_deadline(), end_of_job())), default=None),
            code=self.code,
            after_epoch=after_epoch,
        )
        return record["best_val_loss"]


def add_tune_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a search."""
    for name in ("dataset", "catalogue", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--search", type=Path, help="folder of the searches: journal and trials (default: the output)")
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--pretraining", default="none", help="name of the initial weights, none for random ones")
    parser.add_argument("--encoder", type=Path, help="folder of the initial weights")
    parser.add_argument("--inputs", default="image", choices=("image", "metadata", "joint"))
    parser.add_argument("--stamps", default="all", choices=tuple(STAMP_SETS))
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the training objects, in (0, 1]")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings and of the search")
    parser.add_argument("--draw", type=int, default=0, help="which ranking of the training objects")
    parser.add_argument("--training", type=mapping, default={}, help="recipe, JSON or @file")
    parser.add_argument("--models", type=mapping, default={}, help="settings of the networks, JSON or @file")
    parser.add_argument("--ranges", type=mapping, required=True, help="what may vary, JSON or @file")
    parser.add_argument("--trials", type=int, required=True, help="in all, those of earlier starts included")
    parser.add_argument("--workers", type=int, default=1, help="trials at once")
    parser.add_argument("--code", default="", help="hash of the code; trials of other code are another search")
    parser.add_argument("--startup-trials", type=int, default=5, help="trials before any is ended early")
    parser.add_argument("--warmup-epochs", type=int, default=3, help="epochs of a trial before it may be")
    _add_place(parser)


def _add_place(parser: argparse.ArgumentParser) -> None:
    """Options about where workers run."""
    parser.add_argument("--profile", default="profiles/default", help="partition and account of workers on Slurm")
    parser.add_argument("--cluster", choices=("slurm", "local", "debug"), help="where (default: as the profile says)")
    parser.add_argument("--trial", type=mapping, help="what a trial asks of Slurm, in place of the profile's trainings")
    parser.add_argument("--minutes", type=int, default=240, help="time limit of a worker; it then requeues itself")
    parser.add_argument("--memory-gb", type=float, default=16.0, help="memory of a worker")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU for each worker")
    add_machine_option(parser)
    parser.add_argument("--cores", type=int, help="most trials at once on this machine")


def run_tune(options: argparse.Namespace) -> int:
    """Search, and say what was found."""
    _check_recipe(options)
    cluster, parameters = place(options)
    objective = _objective(options)
    folder = options.output if options.search is None else options.search / _identity(objective, options)
    search = Search(
        folder.absolute(),
        options.ranges,
        seed=options.seed,
        startup_trials=options.startup_trials,
        warmup_epochs=options.warmup_epochs,
        output=options.output.absolute(),
    )
    at_once = options.workers if cluster == "slurm" else min(options.workers, options.cores or options.workers)
    workers = {"workers": at_once, "cluster": cluster, "parameters": parameters}
    study = tune(search, objective, trials=options.trials, **workers)
    cell = cell_name(options.architecture, options.pretraining, options.inputs, options.stamps)
    write_tuning_figures(options.output, cell)
    print(
        f"lowest validation loss {study.best_value:.4f} in trial {study.best_trial.number}: {options.output}/best.yaml"
    )
    return 0


def _check_recipe(options: argparse.Namespace) -> None:
    """Refuse here what every trial would refuse."""
    from ..training.recipe import Recipe

    Recipe.parse(_recipe(options), options.machine).for_one_device("tune")


def _recipe(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the training, without those that other cells have of their own."""
    return {key: value for key, value in options.training.items() if key != "overrides"}


def _objective(options: argparse.Namespace) -> TrainingObjective:
    """What a trial trains."""
    axes = ("architecture", "pretraining", "inputs", "fraction", "seed", "draw", "stamps")
    return TrainingObjective(
        dataset=options.dataset.absolute(),
        catalogue=options.catalogue.absolute(),
        axes={axis: getattr(options, axis) for axis in axes},
        training=_recipe(options),
        models=options.models,
        encoder=options.encoder and options.encoder.absolute(),
        device=options.device,
        threads=(options.trial or {}).get("threads", options.threads),
        code=options.code,
        machine=options.machine,
    )


def _identity(objective: TrainingObjective, options: argparse.Namespace) -> str:
    """Short hash of all that the trials of a search share, so that another search starts a journal of its own."""
    from ..training import Sources
    from ..training.data import data_hashes

    hashes = data_hashes(objective.dataset, objective.catalogue) | Sources(objective.encoder).hashes()
    shared = [objective.axes, objective.training, objective.models, objective.code, options.ranges, options.seed]
    return sha256_text(json.dumps([*shared, hashes], sort_keys=True))[:12]


def place(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Where workers run, and what each asks of Slurm in submitit's words."""
    if options.trial is None:
        profile = read_profile(options.profile)
        return options.cluster or profile.executor, _parameters(options, profile)
    minutes = options.minutes if options.trial else LOCAL_MINUTES
    asked = {"timeout_min": minutes, "cpus_per_task": options.threads}
    asked |= {name: turn(options.trial[key]) for key, (name, turn) in WORDS.items() if options.trial.get(key)}
    return options.cluster or ("slurm" if options.trial else "local"), asked


def _parameters(options: argparse.Namespace, profile: Profile) -> dict[str, Any]:
    """What a worker asks of Slurm, in submitit's words, as the profile's trainings do."""
    asked = {"timeout_min": options.minutes, "mem_gb": options.memory_gb, "cpus_per_task": options.threads}
    return asked | {f"slurm_{key}": value for key, value in profile.training.items()}
