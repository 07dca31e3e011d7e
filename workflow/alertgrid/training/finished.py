"""How is nothing computed twice? The files of a finished run are kept beside its checkpoints, and given back.

Snakemake deletes all outputs of a job that fails, also of those runs in it that had succeeded, and all outputs of a job
before it runs it again. What is kept here are hard links, which take no room beside the run's own files; copies where
the file system has no links.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import atomic_path, read_json, sha256, sha256_text, write_json
from ..grid import RUN_FILES
from ..models import resolve_settings
from .recipe import Recipe
from .spec import RunSpec

FOLDER, RECORD = "finished", "finished.json"


def resolved(architecture: str, models: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the networks as they came out; through JSON, so that memory and what is read back are the same."""
    return json.loads(json.dumps(resolve_settings(architecture, models)))


def fingerprint(spec: RunSpec, recipe: Recipe, models: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """A run's place on the grid, recipe, networks, data and initial weights in one hash.

    Parameters
    ----------
    hashes : mapping
        Of the alerts and their splits (`data_hashes`) and of the weights that the run starts from (`Sources.hashes`).
    """
    parts = {
        "run": asdict(spec),
        "recipe": recipe.identity(),
        "models": resolved(spec.architecture, models),
        "hashes": dict(hashes),
    }
    return sha256_text(json.dumps(parts, sort_keys=True))


class Finished:
    """What is kept of one finished run.

    Parameters
    ----------
    checkpoints : path
        Folder of the run's checkpoints.
    identity : str
        Hash of everything that shaped the result, the code as well; only files of the same are given back.
    """

    def __init__(self, checkpoints: str | Path, identity: str):
        self.folder, self.identity = Path(checkpoints) / FOLDER, identity

    def keep(self, output: Path) -> None:
        """Keep the files of a run folder; the record comes last, since without it nothing counts."""
        self.discard()
        for name in RUN_FILES:
            _link(output / name, self.folder / name)
        digests = {name: sha256(self.folder / name) for name in RUN_FILES}
        write_json(self.folder / RECORD, {"identity": self.identity, "sha256": digests})

    def restore(self, output: Path) -> bool:
        """Give the files back, run.json last; damaged ones and those of another training are removed instead."""
        if not self.folder.exists():
            return False
        if problem := self._problem():
            print(f"{self.folder} {problem}; it is removed", file=sys.stderr, flush=True)
            self.discard()
            return False
        for name in RUN_FILES:
            _link(self.folder / name, output / name)
        return True

    def discard(self) -> None:
        """Remove what is kept, its record first."""
        (self.folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _problem(self) -> str:
        """Why the files cannot be given back; empty when they can."""
        try:
            record = read_json(self.folder / RECORD)
            if record["identity"] != self.identity:
                return "belongs to other settings, data or code"
            whole = {name: sha256(self.folder / name) for name in RUN_FILES} == record["sha256"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            return f"is damaged ({error})"
        return "" if whole else "is damaged (the digest of a file is another)"


def _link(source: Path, target: Path) -> None:
    """Let `target` be the same file as `source`, or a copy of it."""
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
