"""Stand-ins for Slurm's commands."""

import os

import pytest


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for Slurm's commands: each writes its call to calls.txt and prints the file named after it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("squeue", "scancel", "scontrol"):
        script = folder / name
        script.write_text(
            f"#!/bin/sh\necho {name} $* >> {folder}/calls.txt\ncat {folder}/{name}.err >&2 2>/dev/null\n"
            f"cat {folder}/{name}.out 2>/dev/null\ntest ! -e {folder}/{name}.err\n"
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def queue(slurm, folder, *jobs):
    """Fill the stand-in for squeue with jobs (number, name, comment) of a working directory."""
    lines = [f"{number}|RUNNING|{name}|{folder}|{comment}\n" for number, name, comment in jobs]
    (slurm / "squeue.out").write_text("".join(lines))
