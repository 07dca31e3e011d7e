"""Many equal tasks at once: one job array on Slurm, a bounded number of processes elsewhere, by the same submitit code.

submitit's own local executor starts everything together, so outside Slurm tasks are handed to it a few at a time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..files import end_on_sigterm, read_json, write_json
from . import scheduler

ARRAY = "array.json"  # in the folder: the number of the job array that is under way
POLL_SECONDS = 0.5
# A shared file system may show a new file only after its caches have expired, on NFS by default within a minute.
GRACE_SECONDS = 120.0
# A scheduler that is restarted answers again within minutes.
SILENCE_SECONDS = 300.0


def run_tasks(
    tasks: Sequence[Callable[[], Any]],
    *,
    folder: str | Path,
    at_once: int,
    cluster: str | None = None,
    parameters: dict[str, Any] | None = None,
    max_timeouts: int = 100,
) -> list[Any]:
    """Run tasks and return their results, in order; a failed task gives its exception.

    Parameters
    ----------
    tasks : sequence of callables without arguments
        Each may have a method `checkpoint`, which submitit calls before a time limit or a preemption; the task that it
        returns then continues under the same job number.
    folder : path
        For submitit's logs and results; on a shared disk.
    at_once : int
        Most tasks at the same time.
    cluster : {"slurm", "local", "debug"} or None
        Where; None chooses Slurm if it is there.
    parameters : dict
        As submitit's `update_parameters` takes them (timeout_min, mem_gb, gpus_per_node, slurm_partition ...).
    max_timeouts : int
        How often one task may reach its time limit.

    Raises
    ------
    StudyError
        Slurm does not say whether the array of an earlier start still runs.
    """
    import submitit

    note = Path(folder) / ARRAY
    _end_earlier(note)
    executor = submitit.AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=max_timeouts)
    executor.update_parameters(**({"slurm_array_parallelism": at_once} | (parameters or {})))
    with submitit.helpers.clean_env():
        if executor.cluster == "slurm":
            jobs = executor.submit_array(tasks)
            array = jobs[0].job_id.split("_")[0]
            write_json(note, {"job": array})
            with _ended_with_us(array):
                return _gather(jobs)
    return _run_few(executor, tasks, at_once)


def _end_earlier(note: Path, poll_seconds: float = 2.0, silence_seconds: float = SILENCE_SECONDS) -> None:
    """End the array of an earlier start that is still in Slurm; its tasks are handed out again."""
    if not note.exists():
        return
    array, heard = read_json(note)["job"], time.monotonic()
    while (active := scheduler.is_active(array)) is not False:
        if active:
            heard = time.monotonic()
            scheduler.cancel_number(array)
        elif time.monotonic() - heard >= silence_seconds:
            raise _unknown(array, note)
        time.sleep(poll_seconds)
    note.unlink()


def _unknown(array: str, note: Path) -> StudyError:
    """The error for an array of which nobody can tell whether it still runs: a second one would do its work twice."""
    return StudyError(
        "Slurm",
        f"does not say whether job array {array} of an earlier start still runs",
        "an answer",
        f"start again when the scheduler is back; if that array has surely ended, delete {note}",
    )


@contextlib.contextmanager
def _ended_with_us(array: str) -> Iterator[None]:
    """End the array when the wait for it ends early, on SIGTERM or Ctrl-C: it would use GPUs that nobody asks for.

    Its tasks get SIGTERM from Slurm, save, and go on when the search is started again.
    """
    try:
        with end_on_sigterm():
            yield
    except BaseException:
        scheduler.cancel_number(array)
        raise


def _gather(jobs: Sequence[Any], poll_seconds: float = 10.0, grace_seconds: float = GRACE_SECONDS) -> list[Any]:
    """Wait until every task has left a result, or its array has been gone from Slurm for a while; the results.

    Without accounting submitit never notices a task that was killed, so Slurm's queue has the last word.
    """
    array, gone = jobs[0].job_id.split("_")[0], None
    while not all(map(_has_result, jobs)):
        if scheduler.is_active(array) is False:
            gone = time.monotonic() if gone is None else gone
            if time.monotonic() - gone >= grace_seconds:
                break
        time.sleep(poll_seconds)
    return [_result(job) if _has_result(job) else _lost(job) for job in jobs]


def _has_result(job) -> bool:
    """Whether a task has left a result; listing the folder has a shared file system look again."""
    return job.paths.result_pickle.name in os.listdir(job.paths.result_pickle.parent)


def _lost(job) -> RuntimeError:
    """The error for a task that was killed."""
    return RuntimeError(f"Slurm job {job.job_id} left no result; see {job.paths.stderr}")


def _run_few(executor, tasks: Sequence[Callable[[], Any]], at_once: int) -> list[Any]:
    """Submit the next task whenever one of the running ones has ended."""
    jobs: list[Any] = []
    try:
        with end_on_sigterm():
            for task in tasks:
                while sum(not job.done() for job in jobs) >= at_once:
                    time.sleep(POLL_SECONDS)
                jobs.append(executor.submit(task))
                if executor.cluster == "debug":
                    _result(jobs[-1])
            return [_result(job) for job in jobs]
    finally:
        if executor.cluster == "local":
            _end_local(jobs)


def _end_local(jobs: Sequence[Any]) -> None:
    """Ask tasks that still run to save and end: they would outlive the one who started them, and nobody would know."""
    for job in jobs:
        if not job.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # of its supervisor, which hands it on


def _result(job) -> Any:
    """Result of a task, or the exception that it ended with."""
    error = job.exception()
    return job.result() if error is None else error
