"""`python -m alertgrid pretrain ...`: one pre-training by hand, one value per option, as the workflow starts it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_machine_arguments, mapping
from ..progress import announce


def add_pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a pre-training."""
    for name in ("checkpoints", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--corpus", type=mapping, required=True, help="settings of the images, JSON or @file")
    parser.add_argument("--start", type=Path, help="encoder folder to start from, random weights otherwise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--training", type=mapping, default={}, help="recipe, JSON or @file")
    parser.add_argument("--models", type=mapping, default={}, help="settings of the networks, JSON or @file")
    parser.add_argument("--code", default="", help="hash of the code; checkpoints of other code are not continued")
    add_machine_arguments(parser)


def run_pretrain(options: argparse.Namespace) -> int:
    """Pre-train one encoder and print one line."""
    from ..corpora import load_corpus
    from ..training.interrupts import find_deadline
    from ..training.recipe import Recipe
    from .run import pretrain

    # Before the corpus is read, which may take long.
    recipe = Recipe.parse(options.training, options.machine).for_one_device("pretrain")
    deadline = find_deadline(options.deadline, options.budget_seconds)  # reading the corpus counts too
    manifest = pretrain(
        load_corpus(options.corpus),
        options.architecture,
        options.output,
        options.checkpoints,
        start=options.start,
        models=options.models,
        recipe=recipe,
        seed=options.seed,
        device=options.device,
        threads=options.threads,
        deadline=deadline,
        code=options.code,
    )
    score = "not defined" if manifest["val_score"] is None else f"{manifest['val_score']:.3f}"
    announce(
        f"{options.architecture} on {manifest['label']}: {manifest['val_metric']} {score}, best epoch "
        f"{manifest['best_epoch']} of {manifest['epochs']}, {manifest['wall_seconds']:.0f} s",
        options.console,
    )
    return 0
