"""`python -m alertgrid train ...`: the long jobs by hand, one value per option, as the workflow starts them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .columns import STAMP_SETS
from .errors import StudyError


def _mapping(text: str) -> Mapping[str, Any]:
    """JSON given as text, or as @file."""
    try:
        value = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"no JSON object or @file: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("a JSON object is needed")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alertgrid", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train one run of the grid, or go on with it")
    for name in ("dataset", "catalogue", "checkpoints", "output"):
        train.add_argument(f"--{name}", type=Path, required=True)
    train.add_argument("--architecture", required=True)
    train.add_argument("--pretraining", required=True, help="name of the initial weights, none for random ones")
    train.add_argument("--encoder", type=Path, help="folder of the initial weights")
    train.add_argument("--inputs", required=True, choices=("image", "metadata", "fusion", "joint"))
    train.add_argument("--stamps", default="all", choices=tuple(STAMP_SETS))
    train.add_argument("--labels", default="given", choices=("given", "permuted"))
    train.add_argument("--fraction", type=float, required=True, help="share of the training objects, in (0, 1]")
    train.add_argument("--seed", type=int, required=True)
    train.add_argument("--draw", type=int, required=True, help="which ranking of the training objects")
    train.add_argument("--training", type=_mapping, default={}, help="recipe, JSON or @file")
    train.add_argument("--models", type=_mapping, default={}, help="settings of the networks, JSON or @file")
    train.add_argument("--image-run", type=Path, help="finished image run that fusion starts from")
    train.add_argument("--metadata-run", type=Path, help="finished metadata run that fusion starts from")
    _add_machine(train)
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """Options about the machine and the time, the same for every long job."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, help="threads of the CPU")
    parser.add_argument("--deadline", type=float, help="end of the time, in seconds since 1970")
    parser.add_argument("--budget-seconds", type=float, help="time given to this process")


def _train(options: argparse.Namespace) -> str:
    """Train one run; the line to print at its end."""
    from . import training

    recipe = training.Recipe.parse(options.training)
    deadline = training.find_deadline(options.deadline, options.budget_seconds)
    spec = training.RunSpec(
        architecture=options.architecture,
        pretraining=options.pretraining,
        inputs=options.inputs,
        fraction=options.fraction,
        seed=options.seed,
        draw=options.draw,
        stamps=options.stamps,
        labels=options.labels,
    )
    data = training.open_data(options.dataset, options.catalogue, [spec], recipe=recipe, device=options.device)
    record = training.train_run(
        data,
        spec,
        recipe=recipe,
        models=options.models,
        output=options.output,
        checkpoints=options.checkpoints,
        sources=training.Sources(options.encoder, options.image_run, options.metadata_run),
        threads=options.threads,
        deadline=deadline,
    )
    return training.summary(record)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for an error explained on stderr, 75 for "start me again"."""
    options = _parser().parse_args(arguments)
    from .training import EXIT_STATUS, Interrupted

    try:
        print(_train(options), flush=True)
    except Interrupted as stop:
        print(f"stopped before the end, start again to go on: {stop}", file=sys.stderr, flush=True)
        return EXIT_STATUS
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
