"""A real Slurm on this machine for the length of the tests, and studies to disturb on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from pathlib import Path

import psutil
import pytest
from lab import HERE, Study, jobs_below, wait_until
from lab import slurm as ask_slurm


def pytest_collection_modifyitems(items):
    """Everything in this folder needs Slurm; the longest test is begun first."""
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.slurm)
    items.sort(key=lambda item: "toy_study" not in item.name)


@contextlib.contextmanager
def locked(path: Path, kind: int):
    """Hold a lock among the processes that test."""
    with open(path, "a+") as file:
        fcntl.flock(file, kind)
        yield file


def count_users(path: Path, change: int) -> int:
    """Add to the number of processes that use the cluster."""
    with open(path, "a+") as file:
        file.seek(0)
        users = int(file.read() or 0) + change
        file.truncate(0)
        file.write(str(users))
    return users


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of this test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def running_slurm(shared):
    """Start the cluster, or use it; where that cannot be done, skip with the reason, but fail in CI."""
    with locked(shared / "slurm.lock", fcntl.LOCK_EX):
        if count_users(shared / "slurm.users", 1) == 1:
            start(shared)
    yield
    with locked(shared / "slurm.lock", fcntl.LOCK_EX):
        if count_users(shared / "slurm.users", -1) == 0:
            subprocess.run([HERE / "stop.sh"], check=True)


def start(shared: Path) -> None:
    """Run start.sh."""
    started = subprocess.run([HERE / "start.sh"], capture_output=True, text=True)
    if started.returncode:
        count_users(shared / "slurm.users", -1)
        reason = f"no Slurm on this machine: {started.stderr.strip()}"
        if os.environ.get("CI") and os.environ.get("ALERTGRID_ALLOW_NO_SLURM") != "1":
            pytest.fail(f"{reason} (ALERTGRID_ALLOW_NO_SLURM=1 turns this into a skip)")
        pytest.skip(reason)


@pytest.fixture
def slurm(request, running_slurm, shared, tmp_path):
    """The cluster: a share of it, or all of it for a test marked `alone`. A test that failed leaves no jobs behind."""
    alone = request.node.get_closest_marker("alone")
    with contextlib.ExitStack() as place:
        # Through a gate, so that whoever waits for the whole cluster is not passed by those who share it.
        with locked(shared / "gate.lock", fcntl.LOCK_EX):
            place.enter_context(locked(shared / "place.lock", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield
        if alone:
            node = f"nodename={os.uname().nodename}"
            subprocess.run(["scontrol", "update", node, "state=resume"], capture_output=True)
        if left := jobs_below(tmp_path):
            ask_slurm("scancel", *left)
        wait_until(lambda: not jobs_below(tmp_path), 180)
        end_processes(tmp_path)


def end_processes(folder: Path) -> None:
    """End what jobs have left behind: without cgroups Slurm does not find every process again."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def make_study(tmp_path, slurm):
    """A study with chosen profile, epochs, pace and requests."""
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
