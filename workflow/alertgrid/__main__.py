"""`python -m alertgrid COMMAND ...`: what the workflow starts, and what a person asks beside it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .errors import Interrupted, StudyError
from .launch.scheduler import end_of_job, requeue_self

AGAIN = 75  # EX_TEMPFAIL: stopped before the end, saved, start me again

# Command -> module with `add_<command>_arguments` and `run_<command>`, and its help. Only the chosen one is imported.
COMMANDS = {
    "train": ("alertgrid.training.command", "train one run of the grid, or go on with it"),
    "pretrain": ("alertgrid.pretraining.command", "pre-train one encoder, or go on with it"),
    "status": ("alertgrid.status", "what every run of a study is doing"),
    "plan": ("alertgrid.plan.command", "what a study will cost, before it is started"),
    "tune": ("alertgrid.tuning.command", "search the hyperparameters of one architecture"),
    "compare": ("alertgrid.compare.command", "compare two finished studies cell by cell, before and after"),
    "export": ("alertgrid.export.command", "write a finished run as ONNX, checked against its network"),
    "resume": ("alertgrid.launch.command", "go on after the controller died, submitting nothing twice"),
    "launch": ("alertgrid.launch.command", "run the controller itself as a Slurm job"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for an error explained on stderr, 75 for "start me again"."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m alertgrid", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if given[:1] == [name]:
            getattr(import_module(module), f"add_{name}_arguments")(command)
    options = parser.parse_args(given)
    run = getattr(import_module(COMMANDS[options.command][0]), f"run_{options.command}")
    if getattr(options, "requeue", False):
        options.deadline = min(filter(None, (options.deadline, end_of_job())), default=None)
    try:
        return run(options)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except Interrupted as stop:
        print(f"stopped before the end, start again to go on: {stop}", file=sys.stderr, flush=True)
        if getattr(options, "requeue", False):
            requeue_self()
        return AGAIN


if __name__ == "__main__":
    sys.exit(main())
