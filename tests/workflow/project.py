"""A copy of the project with the toy study, so that tests may change settings and modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "profiles", "envs", "tests")


class Project:
    """A working copy of the project in which Snakemake is started; `said` is its console, where a fixture kept it."""

    said = ""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True)
        ignored = shutil.ignore_patterns("__pycache__", ".snakemake", "results.old")
        for part in PARTS:
            source, target = ROOT / part, folder / part
            shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
        shutil.copy(ROOT / "tests/toy/config.yaml", folder / "config.yaml")

    def snakemake(self, *options: str, seconds: int = 900) -> subprocess.CompletedProcess:
        """Run Snakemake to its end; the caller looks at the return code."""
        command = [sys.executable, "-m", "snakemake", *options]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )

    def planned(self, *options: str) -> dict[str, int]:
        """Rules and numbers of jobs that a dry run would start, `all` left out."""
        result = self.snakemake("--quiet", "reason", "-n", *options)
        assert result.returncode == 0, result.stdout + result.stderr
        return _job_counts(result.stdout + result.stderr)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file; it must be there."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, (path, old)
        file.write_text(text.replace(old, new, 1))


def _job_counts(text: str) -> dict[str, int]:
    """Read Snakemake's table of job counts; empty when there is nothing to do."""
    counts, reading = {}, False
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["job", "count"]:
            reading = True
        elif reading and words[:1] == ["total"]:
            break
        elif reading and len(words) == 2 and words[1].isdigit():
            counts[words[0]] = int(words[1])
    return {rule: count for rule, count in counts.items() if rule != "all"}
