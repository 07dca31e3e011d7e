"""`python -m alertgrid train ...`: runs of one cell by hand, one value per option, as the workflow starts them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..columns import STAMP_SETS
from ..errors import StudyError
from ..options import add_machine_arguments, mapping
from .tuned import apply_best

AXES = ("architecture", "pretraining", "inputs", "stamps", "labels")


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of one or several runs."""
    for name in ("dataset", "catalogue"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("runs", "checkpoints"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="root; a run has its folder below it")
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--pretraining", required=True, help="name of the initial weights, none for random ones")
    parser.add_argument("--encoder", type=Path, help="folder of the initial weights")
    parser.add_argument("--inputs", required=True, choices=("image", "metadata", "fusion", "joint"))
    parser.add_argument("--stamps", default="all", choices=tuple(STAMP_SETS))
    parser.add_argument("--labels", default="given", choices=("given", "permuted"))
    parser.add_argument(
        "--run",
        nargs=3,
        action="append",
        required=True,
        metavar=("FRACTION", "SEED", "DRAW"),
        help="share of the training objects in (0, 1], seed, which ranking of the objects; may be repeated",
    )
    parser.add_argument("--training", type=mapping, default={}, help="recipe, JSON or @file")
    parser.add_argument("--models", type=mapping, default={}, help="settings of the networks, JSON or @file")
    parser.add_argument(
        "--tuned", type=Path, help="best.yaml of a search: its values enter the recipe and the networks"
    )
    parser.add_argument("--image-cell", help="cell whose finished runs fusion starts from")
    parser.add_argument("--metadata-cell", help="cell whose finished metadata runs fusion starts from")
    parser.add_argument("--code", default="", help="hash of the code; what other code left is not used")
    parser.add_argument("--memory-mb", type=int, help="memory of this job, where no control group limits it")
    add_machine_arguments(parser)


def run_train(options: argparse.Namespace) -> int:
    """Train the runs; 1 when some failed, with their names and reasons."""
    from .. import training

    deadline = training.find_deadline(options.deadline, options.budget_seconds)  # reading the data counts too
    if options.tuned:
        options.training, options.models = apply_best(options.tuned, options.training, options.models)
    axes = {axis: getattr(options, axis) for axis in AXES}
    names = ("dataset", "catalogue", "runs", "checkpoints", "encoder", "image_cell", "metadata_cell", "code")
    pack = training.Pack(
        specs=[training.RunSpec(**axes, **_place(*words)) for words in options.run],
        recipe=training.Recipe.parse(options.training, options.machine),
        models=options.models,
        device=options.device,
        threads=options.threads,
        memory_mb=options.memory_mb,
        console=options.console,
        deadline=deadline,
        **{name: getattr(options, name) for name in names},
    )
    failures = training.train_pack(pack)
    for run, reason in failures.items():
        print(f"error: {run}: {reason}", file=sys.stderr, flush=True)
    return int(bool(failures))


def _place(fraction: str, seed: str, draw: str) -> dict[str, float | int]:
    """The three words of `--run`.

    Raises
    ------
    StudyError
        They are not numbers, or the fraction is out of bounds.
    """
    try:
        place = {"fraction": float(fraction), "seed": int(seed), "draw": int(draw)}
    except ValueError:
        place = {"fraction": 0.0}
    if not 0 < place["fraction"] <= 1:
        given, remedy = " ".join((fraction, seed, draw)), "correct it, for example --run 0.25 3 0"
        raise StudyError(f"--run {given}", "names no run", "a fraction in (0, 1] and two whole numbers", remedy)
    return place
