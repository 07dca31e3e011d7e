"""Locks: one live holder at a time; the dead do not stand in the way."""

import errno
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import time

import pytest
from alertgrid import locks
from alertgrid.errors import StudyError
from alertgrid.launch import scheduler


def write(path, **changes):
    """A lock file as another holder would have left it."""
    content = {"token": "theirs", "what": "work", "host": "elsewhere", "pid": 1, "started": 0.0}
    path.write_text(json.dumps(content | {"slurm_job": None, "since": "then"} | changes))


def test_lock_is_held_and_released(tmp_path):
    path = tmp_path / "new" / "lock.json"
    with locks.hold(path, "work") as lock:
        assert lock.mine()
        assert locks.fresh(path)
        assert locks.holder(path)["pid"] == os.getpid()
        lock.check()
    assert not path.exists()
    assert locks.holder(path) is None
    assert not locks.fresh(path)


def test_second_holder_refuses_and_names_the_first(tmp_path):
    path = tmp_path / "lock.json"
    with (
        locks.hold(path, "work"),
        pytest.raises(StudyError, match=f"process {os.getpid()}"),
        locks.hold(path, "work", wait_seconds=0.05, poll_seconds=0.01),
    ):
        pass
    assert not path.exists()


def test_a_killed_process_leaves_a_lock_that_is_taken_over(tmp_path, capsys):
    path = tmp_path / "lock.json"
    code = f"from alertgrid import locks\nwith locks.hold({str(path)!r}, 'work'):\n print('held', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout.readline() == b"held\n"
    assert locks.holder(path)["pid"] == child.pid
    child.kill()
    child.wait()
    with locks.hold(path, "work"):
        assert locks.holder(path)["pid"] == os.getpid()
    assert "taking over" in capsys.readouterr().err


def test_a_reused_process_number_is_not_the_holder(tmp_path):
    path = tmp_path / "lock.json"
    write(path, host=socket.gethostname(), pid=os.getpid(), started=1.0)
    assert locks.holder(path) is None


@pytest.mark.parametrize(("answer", "alive"), [(True, True), (False, False), (None, True)])
def test_a_holder_on_another_host_is_looked_up_in_slurm(tmp_path, monkeypatch, answer, alive):
    path = tmp_path / "lock.json"
    write(path, slurm_job="77")
    monkeypatch.setattr(scheduler, "is_active", lambda number: answer)
    assert (locks.holder(path) is not None) == alive


def test_a_requeued_job_takes_its_own_lock_back(tmp_path, monkeypatch):
    path = tmp_path / "lock.json"
    write(path, slurm_job="77")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(scheduler, "is_active", lambda number: True)
    with locks.hold(path, "work") as lock:
        assert lock.mine()


def test_without_a_scheduler_the_age_of_the_file_decides(tmp_path):
    path = tmp_path / "lock.json"
    write(path)
    assert locks.holder(path) is not None
    os.utime(path, (time.time() - 2 * locks.STALE_SECONDS,) * 2)
    assert locks.holder(path) is None


def claim_until_line(path, last):
    """Let a process claim a lock and be gone, as by kill -9, before this line of the code; whether it got there."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    lines = iter(range(last))

    def trace(frame, event, argument):
        if frame.f_code.co_filename != locks.__file__:
            return None
        if event == "line" and next(lines, None) is None:
            os._exit(9)
        return trace

    sys.settrace(trace)
    locks._claim(path, "work", {})
    os._exit(0)


@pytest.mark.parametrize("dead", [False, True], ids=["free", "dead"])
def test_a_claim_killed_at_any_line_stands_in_nobodys_way(tmp_path, dead):
    path, line, killed = tmp_path / "lock.json", 0, True
    while killed:
        if dead:
            write(path, host=socket.gethostname(), pid=os.getpid(), started=1.0)
        killed = claim_until_line(path, line)
        with locks.hold(path, "work"):
            assert list(tmp_path.iterdir()) == [path]
        line += 1
    assert line > 10


@pytest.mark.parametrize("text", ["", "{"])
def test_a_lock_being_written_counts_as_held_until_it_is_old(tmp_path, text):
    path = tmp_path / "lock.json"
    path.write_text(text)
    assert locks.holder(path) is not None
    os.utime(path, (0, 0))
    with locks.hold(path, "work"):
        pass


def test_the_heartbeat_touches_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.01)
    path = tmp_path / "lock.json"
    with locks.hold(path, "work"):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 5
        while not locks.fresh(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert locks.fresh(path)


def test_a_holder_that_lost_its_lock_notices_and_leaves_the_other_alone(tmp_path):
    path = tmp_path / "lock.json"
    with locks.hold(path, "work") as lock:
        write(path)
        with pytest.raises(StudyError, match="taken over"):
            lock.check()
    assert locks.read(path)["token"] == "theirs"


def test_discarding_puts_back_a_live_lock_caught_by_mistake(tmp_path):
    path = tmp_path / "lock.json"
    write(path, token="new")
    locks._discard(path, {"token": "old"})
    assert locks.read(path)["token"] == "new"
    locks._discard(tmp_path / "gone.json", {"token": "old"})
    assert list(tmp_path.iterdir()) == [path]


def failing(number):
    """A function of the operating system that fails with this error number."""

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
def test_a_full_disk_leaves_no_lock_behind(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(locks, "_appear", locks._create)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # as a full disk: files come into being, but stay empty
    try:
        with pytest.raises(OSError, match="File too large"), locks.hold(tmp_path / "lock.json", "work"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_file_systems_without_links_have_locks_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    path = tmp_path / "lock.json"
    with locks.hold(path, "work"):
        assert list(tmp_path.iterdir()) == [path]
        locks._create(path, "{}")  # a second one, at the same moment
        assert locks.holder(path)["pid"] == os.getpid()
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.EEXIST, errno.ENOENT])
def test_who_is_slower_waits(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "link", failing(number))
    with pytest.raises(StudyError, match="one worker"), locks.hold(tmp_path / "lock.json", "work"):
        pass


def contend(path, counter, queue):
    """Add one to a number on disk, unprotected but for the lock."""
    for _ in range(20):
        with locks.hold(path, "count", wait_seconds=60, poll_seconds=0.001):
            value = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(value + 1))
    queue.put("done")


def test_four_processes_never_hold_it_together(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    write(tmp_path / "lock.json", host=socket.gethostname(), pid=os.getpid(), started=1.0)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=contend, args=(tmp_path / "lock.json", counter, queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert int(counter.read_text()) == 80
