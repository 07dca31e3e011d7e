"""How does a killed run go on? Whole checkpoints on disk, two generations, each with its own digest.

A file is `step-<number>.ckpt`: the SHA-256 of what follows, then what `torch.save` writes. A damaged file is set aside
and the one before is used; a file of another training (other settings, data or code) is set aside too, never mixed in.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from .files import atomic_path, remove_leftovers, write_json

GENERATIONS = 2
PROGRESS = "progress.json"
_NAME = re.compile(r"step-(\d{9})\.ckpt")
_DIGEST = hashlib.sha256().digest_size


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : path
        Where they lie; no declared output of a workflow, which deletes those when a job fails.
    fingerprint : str
        What the training is (settings and data); only checkpoints that carry the same are continued.
    code : str
        Hash of the code that trains; what other code began is not continued, since its result would be of neither.
    guard : callable, optional
        Called before anything is written; raises when this process may no longer write (see `locks`).
    """

    def __init__(self, folder: str | Path, fingerprint: str, code: str = "", guard: Callable[[], None] | None = None):
        self.folder, self.fingerprint, self.code, self.guard = Path(folder), fingerprint, code, guard
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_over in self.folder.glob(".*.ckpt"):  # of a process killed while it wrote
            left_over.unlink()
        remove_leftovers(self.folder / PROGRESS)

    def save(self, step: int, content: dict[str, Any], progress: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint whole, then remove all but the last two.

        Parameters
        ----------
        step : int
            Steps done since the beginning.
        content : dict
            Tensors, numbers, texts, and lists and dicts of them.
        progress : mapping, optional
            Written to progress.json beside it, for whoever asks how far the run is.
        """
        if self.guard:
            self.guard()
        path = self.folder / f"step-{step:09d}.ckpt"
        self._write(path, content)
        for old in self._paths()[GENERATIONS:]:
            old.unlink()
        if progress:
            write_json(self.folder / PROGRESS, {**progress, "updated": time.time()})
        return path

    def load(self) -> dict[str, Any] | None:
        """The newest whole checkpoint of this training, on the CPU; None when there is none."""
        for path in self._paths():
            stored = self._read(path)
            if stored is None:
                self._set_aside(path, "damaged", "is damaged; the one before is used")
            elif stored["fingerprint"] != self.fingerprint:
                self._set_aside(path, "other", "belongs to other settings or data; it is not used")
            elif stored.get("code") != self.code:
                remedy = "to go on with it instead, stop, bring that code back and take .code off its name"
                self._set_aside(path, "code", f"was written by other code, so training begins anew; {remedy}")
            else:
                return stored["content"]
        return None

    def put(self, name: str, content: dict[str, Any]) -> None:
        """Keep what was costly to make before the first step, under a name, until `clear`."""
        if self.guard:
            self.guard()
        self._write(self._part(name), content)

    def get(self, name: str) -> dict[str, Any] | None:
        """What was `put` under this name, on the CPU; None when there is nothing whole of this training."""
        stored = self._read(self._part(name)) if self._part(name).exists() else None
        mine = stored and (stored["fingerprint"], stored["code"]) == (self.fingerprint, self.code)
        return stored["content"] if mine else None

    def clear(self) -> None:
        """Remove the checkpoints of a finished run, those set aside and what was `put` as well."""
        for path in [*self.folder.glob("step-*.ckpt*"), *self.folder.glob("part-*.ckpt"), self.folder / PROGRESS]:
            path.unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        return self.folder / f"part-{name}.ckpt"

    def _paths(self) -> list[Path]:
        """Checkpoints, the newest first."""
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        """One file: digest, then what the content belongs to and the content."""
        buffer = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, "code": self.code, "content": content}, buffer)
        with atomic_path(path) as temporary, open(temporary, "wb") as handle:
            handle.write(hashlib.sha256(buffer.getbuffer()).digest())
            handle.write(buffer.getbuffer())

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Content of a file, or None when its digest is not that of its bytes."""
        data = path.read_bytes()
        if hashlib.sha256(memoryview(data)[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        return torch.load(io.BytesIO(memoryview(data)[_DIGEST:]), map_location="cpu", weights_only=True)

    def _set_aside(self, path: Path, suffix: str, why: str) -> None:
        """Rename a checkpoint that cannot be used, and say so."""
        aside = path.with_name(f"{path.name}.{suffix}")
        path.rename(aside)
        print(f"checkpoint {path} {why} (kept as {aside.name})", file=sys.stderr, flush=True)
