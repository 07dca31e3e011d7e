"""Which run of the grid is this, and from which weights does it start?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import StudyError
from ..files import read_json, sha256
from ..grid import cell_name, run_name


@dataclass(frozen=True)
class RunSpec:
    """Which run of the grid this is; the words are those of grid.csv."""

    architecture: str
    pretraining: str
    inputs: str
    fraction: float
    seed: int
    draw: int = 0
    stamps: str = "all"
    labels: str = "given"

    @property
    def cell(self) -> str:
        """Name of the cell."""
        return cell_name(self.architecture, self.pretraining, self.inputs, self.stamps, self.labels)

    @property
    def run(self) -> str:
        """Its folder below `runs/`, as in grid.csv."""
        return run_name(self.cell, self.fraction, self.seed)

    @property
    def name(self) -> str:
        """Short name for the log."""
        return f"{self.cell} f{self.fraction:g} s{self.seed}"


@dataclass(frozen=True)
class Sources:
    """Folders that a run starts from: an encoder's weights, or the two runs that frozen fusion joins."""

    encoder: str | Path | None = None
    image_run: str | Path | None = None
    metadata_run: str | Path | None = None

    def hashes(self) -> dict[str, str]:
        """Name -> SHA-256 of the weights used."""
        files = {
            "encoder": self.encoder and Path(self.encoder) / "model.safetensors",
            "image_run": self.image_run and Path(self.image_run) / "weights.safetensors",
            "metadata_run": self.metadata_run and Path(self.metadata_run) / "weights.safetensors",
        }
        return {name: _hash(path) for name, path in files.items() if path}

    def history(self) -> dict[str, str]:
        """What the initial weights have seen (`label`, such as ImageNet -> Galaxy Zoo), their origin and hash.

        Those of a fusion are its image run's.
        """
        if self.image_run:
            return read_json(Path(self.image_run) / "run.json").get("initial_weights", {})
        if not self.encoder:
            return {"label": "random"}
        manifest = read_json(Path(self.encoder) / "manifest.json")
        return {key: manifest[key] for key in ("label", "origin", "revision", "sha256")}


def _hash(path: Path) -> str:
    """SHA-256 of a file that must be there."""
    if not path.is_file():
        raise StudyError(str(path), "there is no such file", "the weights this run starts from", "make them first")
    return sha256(path)
