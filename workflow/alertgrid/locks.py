"""Who works here? A lock file that names its holder and is checked for life, on a shared file system.

Snakemake does not find its Slurm jobs again after it was killed, so a restart may submit work that is still going on;
the second worker must then refuse, and the lock of a dead one must not stand in the way. Three signs of life, in this
order: the process on this host; the Slurm job elsewhere; else the age of the file, which its holder touches.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from .errors import StudyError, disk_errors
from .files import beside, remove_leftovers
from .launch import scheduler

HEARTBEAT_SECONDS = 30.0
# Ten missed heartbeats: longer than a stalled file system usually takes, shorter than anyone waits for a retry.
STALE_SECONDS = 300.0
# A retry may start on another node while Slurm still ends the job before it; 30 s pass there from SIGTERM to SIGKILL.
HANDOVER_SECONDS = 60.0
# How file systems say that they have no hard links.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Lock:
    """A lock that this process holds; `check` before anything that must not be written twice."""

    def __init__(self, path: Path, token: str):
        self.path, self.token = path, token
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name=f"lock {path}")
        self._thread.start()

    def mine(self) -> bool:
        """Whether the lock file still names this holder."""
        return read(self.path).get("token") == self.token

    def check(self) -> None:
        """Raise StudyError if somebody else has taken over."""
        if not self.mine():
            raise StudyError(
                str(self.path), "the lock was taken over", "one worker at a time", "nothing: the other one goes on"
            )

    def release(self) -> None:
        """Stop the heartbeat and remove the file, if it is still ours."""
        self._ended.set()
        self._thread.join()
        if self.mine():
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        """Touch the file now and then, so that others see life without asking a scheduler."""
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                if self.mine():
                    os.utime(self.path)


@contextlib.contextmanager
def hold(
    path: str | Path, what: str, wait_seconds: float = 0.0, poll_seconds: float = 1.0, **notes: Any
) -> Iterator[Lock]:
    """Hold a lock for the length of a `with` block.

    Parameters
    ----------
    path : path
        The lock file; its folder is made.
    what : str
        What is done under it, for the message to others.
    wait_seconds : float
        How long to wait for a live holder to end before refusing.
    poll_seconds : float
        Time between two looks.
    **notes
        Kept in the file for whoever reads it.

    Raises
    ------
    StudyError
        A live holder has it (the message names host, process and Slurm job), or the disk takes no file.
    """
    path = Path(path)
    deadline = time.monotonic() + wait_seconds
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while (lock := _claim(path, what, notes)) is None:
            if time.monotonic() >= deadline:
                raise refusal(path, what)
            time.sleep(poll_seconds)
    try:
        yield lock
    finally:
        lock.release()


def holder(path: str | Path) -> dict[str, Any] | None:
    """The live holder of a lock (host, pid, slurm_job, since, what), or None."""
    seen = read(Path(path))
    return seen if seen and _alive(seen, Path(path)) else None


def fresh(path: str | Path) -> bool:
    """Whether a lock was touched lately: life as seen without asking a process table or a scheduler."""
    try:
        return time.time() - os.stat(path).st_mtime < STALE_SECONDS
    except FileNotFoundError:
        return False


def read(path: Path) -> dict[str, Any]:
    """Content of a lock file: empty when there is none, without a token while it is being written."""
    try:
        return json.loads(path.read_text(encoding="utf-8") or '{"what": "starting"}')
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError:
        return {"what": "starting"}


def _claim(path: Path, what: str, notes: Mapping[str, Any]) -> Lock | None:
    """Take the lock if it is free or its holder is dead."""
    seen = read(path)
    if seen:
        if _alive(seen, path):
            return None
        _discard(path, seen)
    token = uuid.uuid4().hex
    _appear(path, json.dumps({"token": token, "what": what, **notes, **_self()}))
    if read(path).get("token") != token:
        return None
    remove_leftovers(path)
    return Lock(path, token)


def _appear(path: Path, text: str) -> None:
    """Let the file be there at once with all of its text, unless there is one.

    A link, since a holder that is killed between creating a file and naming itself in it would stand in everybody's way
    until the file is old.
    """
    claim = beside(path)
    try:
        claim.write_text(text, encoding="utf-8")
        os.link(claim, path)
    except (FileExistsError, FileNotFoundError):  # another was faster; it may also have tidied the claim away
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _create(path, text)
    finally:
        claim.unlink(missing_ok=True)


def _create(path: Path, text: str) -> None:
    """The same in two steps, for file systems without links."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:  # a full disk must not leave a lock without a holder
        path.unlink()
        raise


def _discard(path: Path, seen: dict[str, Any]) -> None:
    """Move a dead lock away; whoever loses the race for it puts back the live one it caught instead."""
    aside = beside(path)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if read(aside).get("token") != seen.get("token"):
        with contextlib.suppress(OSError):
            os.link(aside, path)
    else:
        print(f"{path}: taking over from {_describe(seen)}, which has ended", file=sys.stderr, flush=True)
    aside.unlink(missing_ok=True)


def _self() -> dict[str, Any]:
    """This process, as others can check it."""
    started = psutil.Process().create_time()
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": started,
        "slurm_job": scheduler.own_job(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _alive(seen: dict[str, Any], path: Path) -> bool:
    """Whether the holder named in a lock still works."""
    if "token" not in seen:
        return fresh(path)
    if seen["host"] == socket.gethostname():
        return _process_lives(seen["pid"], seen["started"])
    job = seen["slurm_job"]
    if job and job == scheduler.own_job():
        return False  # this job itself, before it was requeued to another node
    active = scheduler.is_active(job) if job else None
    return fresh(path) if active is None else active


def _process_lives(pid: int, started: float) -> bool:
    """Whether the process runs, and is not another one that got its number (clocks may drift by seconds)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 5
    except psutil.NoSuchProcess:
        return False


def _describe(seen: dict[str, Any]) -> str:
    """Host, process and job of a holder."""
    job = f", Slurm job {seen['slurm_job']}" if seen.get("slurm_job") else ""
    return f"host {seen.get('host', 'unknown')}, process {seen.get('pid', 'unknown')}{job}"


def refusal(path: Path, what: str) -> StudyError:
    """The error for whoever finds a live holder, naming it."""
    seen = read(path)
    job = seen.get("slurm_job")
    end = f"scancel {job}" if job else f"kill {seen.get('pid', '<process>')} on {seen.get('host', 'its host')}"
    return StudyError(
        str(path),
        f"{what} is already under way since {seen.get('since', 'now')} ({_describe(seen)})",
        "one worker at a time",
        f"wait for it, or end it with: {end}",
    )
