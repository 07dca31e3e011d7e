"""Files that are whole or absent: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import disk_errors


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    Raises
    ------
    StudyError
        The disk is full or may not be written.
    """
    path = Path(path)
    temporary = beside(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A new hidden name in the same folder; its suffix stays, since numpy and others choose a format by it."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")


def remove_leftovers(*paths: str | Path) -> None:
    """Remove what killed attempts to write files left beside them; only where one process at a time writes them."""
    for path in map(Path, paths):
        # The names that `beside` gives.
        pattern = f".{glob.escape(path.stem)}.{'[0-9a-f]' * 8}{glob.escape(path.suffix)}"
        for left in path.parent.glob(pattern):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def end_on_sigterm() -> Iterator[None]:
    """Let SIGTERM (a scheduler's first word) end the block by an exception, so that it removes what is half-written.

    Raises
    ------
    SystemExit
        With the status that the signal would have given, 143.
    """
    # Python runs handlers in the main thread only; elsewhere (tests, notebooks) the signal keeps its meaning.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _flush(path: Path) -> None:
    """Force the file to disk, so that a rename never outlives its content after a power cut."""
    with open(path, "rb+") as handle:
        os.fsync(handle.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """NumPy scalars and paths as JSON knows them."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: str | Path, frame: pd.DataFrame, **options: Any) -> None:
    """Write a table atomically, without its index."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, **options)


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def hash_files(paths: Iterable[str | Path]) -> dict[str, str]:
    """Path below the folder that all share -> SHA-256, in the order given."""
    paths = [Path(path).absolute() for path in paths]
    shared = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return {path.relative_to(shared).as_posix(): sha256(path) for path in paths}
