"""Options that several commands of `python -m alertgrid` share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def mapping(text: str) -> Mapping[str, Any]:
    """JSON object given as text, or as @file.

    Raises
    ------
    argparse.ArgumentTypeError
        The text or file holds no JSON object.
    """
    try:
        value = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"no JSON object or @file: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("a JSON object is needed")
    return value


def setting(text: str) -> tuple[str, Any]:
    """A setting given as KEY=VALUE, the value as JSON or a plain word.

    Raises
    ------
    argparse.ArgumentTypeError
        There is no "=".

    Examples
    --------
    >>> setting("devices=4"), setting("resident=no")
    (('devices', 4), ('resident', 'no'))
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def add_machine_option(parser: argparse.ArgumentParser) -> None:
    """The option of everything that trains."""
    parser.add_argument(
        "--machine", type=setting, nargs="*", default=[], metavar="KEY=VALUE",
        help="how a training uses the machine, such as devices=4 or compile=default; see profiles",
    )  # fmt: skip


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Options about the machine and the time, the same for every long job."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, help="threads of the CPU")
    add_machine_option(parser)
    parser.add_argument("--deadline", type=float, help="end of the time, in seconds since 1970")
    parser.add_argument("--budget-seconds", type=float, help="time given to this process")
    parser.add_argument("--console", type=int, help="file descriptor that is told of finished work, beside the log")
    parser.add_argument("--requeue", action="store_true", help="stop before this Slurm job ends, and put it back")
