"""A real Slurm on this machine for the length of the tests, and studies to disturb on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from lab import HERE, ROOT, Study, squeue, wait_until


def pytest_collection_modifyitems(items):
    """Everything in this folder needs Slurm."""
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def slurm():
    """Start the cluster; where that cannot be done, skip with the reason, except in CI, which says so by failing."""
    started = subprocess.run([HERE / "start.sh"], capture_output=True, text=True)
    if started.returncode:
        reason = f"no Slurm on this machine: {started.stderr.strip()}"
        if os.environ.get("CI") and os.environ.get("ALERTGRID_ALLOW_NO_SLURM") != "1":
            pytest.fail(f"{reason} (ALERTGRID_ALLOW_NO_SLURM=1 turns this into a skip)")
        pytest.skip(reason)
    yield
    subprocess.run([HERE / "stop.sh"], check=True)


@pytest.fixture(autouse=True)
def no_jobs_left(request):
    """A test that failed must not leave jobs to the next one."""
    yield
    if "slurm" in request.fixturenames:
        subprocess.run(["scontrol", "update", f"nodename={os.uname().nodename}", "state=resume"], capture_output=True)
        subprocess.run(["scancel", "--me"])
        wait_until(lambda: not squeue(), 60)


@pytest.fixture
def make_study(tmp_path, slurm):
    """A study with chosen profile, epochs, pace and time limit."""
    made = []

    def make(**options):
        made.append(Study(tmp_path / "study", **options))
        return made[-1]

    yield make
    # After a failed test a Snakemake may still be there, and would go on submitting.
    for process in (process for study in made for process in study.processes):
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Results of the stand-in study, run undisturbed on this machine: epochs -> texts of run.json."""
    known = {}

    def run(epochs: int) -> dict[int, str]:
        if epochs not in known:
            study = Study(tmp_path_factory.mktemp("reference"), epochs=epochs, pace=0)
            command = study.command("--cores", "2", profile=str(ROOT / "profiles" / "local"))
            done = study.run(command)
            assert done.returncode == 0, done.stderr[-3000:]
            known[epochs] = study.results_of()
        return known[epochs]

    return run
