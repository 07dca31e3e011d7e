"""`python -m alertgrid launch` and `resume`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import locks
from . import guard
from .controller import Controller, snakemake_command, submit
from .profile import read_profile


def add_resume_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m alertgrid resume`."""
    parser.add_argument("--study", required=True, help="name of the study, as in config.yaml")
    parser.add_argument("--profile", default="profiles/default", help="where the study runs")
    parser.add_argument("--results", default="results", help="folder that holds the studies' folders")
    parser.add_argument(
        "--cancel", action="store_true", help="end the jobs an earlier Snakemake left, do not wait for them"
    )
    parser.add_argument("snakemake", nargs="*", help="more options for Snakemake, after --")


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m alertgrid launch`."""
    add_resume_arguments(parser)
    parser.add_argument("--cluster", choices=("slurm", "local", "debug"), help="where (default: Slurm if it is there)")
    parser.add_argument("--minutes", type=int, default=1440, help="time limit of the job; it then requeues itself")
    parser.add_argument("--memory-gb", type=float, default=4.0, help="memory of the job")


def run_resume(args: argparse.Namespace) -> int:
    """Find what an earlier Snakemake left in Slurm, wait for it or end it, unlock, and run Snakemake here."""
    return _controller(args)()


def run_launch(args: argparse.Namespace) -> int:
    """Submit Snakemake as a small job that requeues itself, and print where its log is."""
    controller = _controller(args)
    _refuse_second(controller.folder)
    site = read_profile(args.profile).site
    number, log = submit(controller, cluster=args.cluster, minutes=args.minutes, memory_gb=args.memory_gb, site=site)
    print(f"controller of study {args.study}: job {number}\nits log: {log}\nto end it: scancel {number}, then resume")
    return 0


def _controller(args: argparse.Namespace) -> Controller:
    """The controller that the options describe."""
    folder = Path(args.results).absolute() / args.study
    command = snakemake_command(args.study, args.profile, args.snakemake)
    return Controller(folder, command, args.cancel, slurm=read_profile(args.profile).executor == "slurm")


def _refuse_second(folder: Path) -> None:
    """A study with a live controller needs no other."""
    if locks.holder(folder / guard.LOCK):
        raise locks.refusal(folder / guard.LOCK, f"study {folder.name}")
