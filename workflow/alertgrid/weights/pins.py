"""Which commit and which bytes did the first fetch get? Pinned in a file outside the outputs, for every later fetch.

Snakemake deletes the outputs of a rule before it runs again, so a manifest there remembers nothing. The file belongs
into version control, beside config.yaml; who wants newer weights deletes their entry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import read_json, write_json
from ..locks import hold


class Pins:
    """Repository -> revision as the study names it -> its commit, and the SHA-256 of each file fetched.

    Parameters
    ----------
    path : path
        A JSON file; need not exist.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def commit(self, repo: str, revision: str) -> str | None:
        """Commit that a branch, a tag or the digits of a commit stood for at the first fetch."""
        return self._entry(repo, revision).get("commit")

    def digest(self, repo: str, revision: str, filename: str) -> str | None:
        """SHA-256 of a file at the first fetch."""
        return self._entry(repo, revision).get("sha256", {}).get(filename)

    def record(self, repo: str, revision: str, commit: str, digests: dict[str, str]) -> None:
        """Pin what was fetched; other fetches may do so at the same time."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        with hold(lock, f"writing {self.path}", wait_seconds=60.0, poll_seconds=0.1):
            pins = self._read()
            entry = pins.setdefault(repo, {}).setdefault(revision, {})
            entry |= {"commit": commit, "sha256": {**entry.get("sha256", {}), **digests}}
            write_json(self.path, {name: pins[name] for name in sorted(pins)})

    def _entry(self, repo: str, revision: str) -> dict[str, Any]:
        """What is pinned of a revision."""
        return self._read().get(repo, {}).get(revision, {})

    def _read(self) -> dict[str, Any]:
        """The whole file."""
        return read_json(self.path) if self.path.exists() else {}
