"""`python -m alertgrid train ...`: one run of the grid by hand, one value per option, as the workflow starts it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..columns import STAMP_SETS
from ..options import add_machine_arguments, mapping


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a run."""
    for name in ("dataset", "catalogue", "checkpoints", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--pretraining", required=True, help="name of the initial weights, none for random ones")
    parser.add_argument("--encoder", type=Path, help="folder of the initial weights")
    parser.add_argument("--inputs", required=True, choices=("image", "metadata", "fusion", "joint"))
    parser.add_argument("--stamps", default="all", choices=tuple(STAMP_SETS))
    parser.add_argument("--labels", default="given", choices=("given", "permuted"))
    parser.add_argument("--fraction", type=float, required=True, help="share of the training objects, in (0, 1]")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--draw", type=int, required=True, help="which ranking of the training objects")
    parser.add_argument("--training", type=mapping, default={}, help="recipe, JSON or @file")
    parser.add_argument("--models", type=mapping, default={}, help="settings of the networks, JSON or @file")
    parser.add_argument("--image-run", type=Path, help="finished image run that fusion starts from")
    parser.add_argument("--metadata-run", type=Path, help="finished metadata run that fusion starts from")
    add_machine_arguments(parser)


def run_train(options: argparse.Namespace) -> int:
    """Train one run and print one line."""
    from .. import training

    deadline = training.find_deadline(options.deadline, options.budget_seconds)  # reading the data counts too
    recipe = training.Recipe.parse(options.training)
    axes = ("architecture", "pretraining", "inputs", "fraction", "seed", "draw", "stamps", "labels")
    spec = training.RunSpec(**{axis: getattr(options, axis) for axis in axes})
    record = training.train_run(
        training.open_data(options.dataset, options.catalogue, [spec], recipe=recipe, device=options.device),
        spec,
        recipe=recipe,
        models=options.models,
        output=options.output,
        checkpoints=options.checkpoints,
        sources=training.Sources(options.encoder, options.image_run, options.metadata_run),
        threads=options.threads,
        deadline=deadline,
    )
    print(training.summary(record), flush=True)
    return 0
