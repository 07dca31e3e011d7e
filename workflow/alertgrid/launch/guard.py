"""One controller a study: a Snakemake that starts must be alone, and must not repeat what an earlier one left in Slurm.

The Snakefile calls `warn` while it is read and `begin` before the first job of a real run. The lock is released when
Snakemake ends; one left by a killed Snakemake is recognised as dead and taken over.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import locks
from ..errors import StudyError
from . import scheduler

LOCK = "controller.lock"
# How the plugin says, in Snakemake's log, under which name its jobs are in Slurm.
RUN_ID = re.compile(r"SLURM run ID: (\S+)")
# The plugin's comment on every job; it keeps the controller's own job and other work in the folder apart.
COMMENT = "rule_"


def warn(folder: str | Path, arguments: Sequence[str] = ()) -> None:
    """Say on stderr that the study has a live controller, or one that was killed; refuse to break a live one's lock.

    Parameters
    ----------
    folder : path
        `results/{study}`.
    arguments : sequence of str
        Command line of Snakemake.

    Raises
    ------
    StudyError
        `--unlock` is asked for although the controller is alive.
    """
    path = Path(folder) / LOCK
    if not path.exists():
        return
    if locks.holder(path) is None:
        if scheduler.CONTROLLER_JOB not in os.environ:  # `resume` knows it
            print(f"Note: a Snakemake of this study was killed; {_remedy(Path(folder))}", file=sys.stderr, flush=True)
        return
    error = locks.refusal(path, f"study {Path(folder).name}")
    if "--unlock" in arguments:
        raise error
    print(f"Note: {error}", file=sys.stderr, flush=True)


def begin(
    folder: str | Path, logs: Sequence[str] = (), workdir: str | Path = ".", slurm: bool = True
) -> contextlib.ExitStack:
    """Take the study for this Snakemake, until it ends.

    Parameters
    ----------
    folder : path
        `results/{study}`.
    logs : sequence of paths
        Snakemake's own logs (`log` in its `onstart`), which name its jobs.
    workdir : path
        Folder that jobs are submitted from.
    slurm : bool
        Whether jobs will go to Slurm. Slurm is not asked otherwise, unless the killed controller had used it: on a
        machine with Slurm's commands but no scheduler each question takes minutes.

    Raises
    ------
    StudyError
        Another controller is alive, jobs of an earlier one are still in Slurm, or the folder cannot be written.
    """
    folder, stack = Path(folder), contextlib.ExitStack()
    path, what = folder / LOCK, f"study {folder.name}"
    if locks.holder(path):
        raise locks.refusal(path, what)
    if left := orphans(folder, workdir, slurm):
        raise StudyError(
            str(folder),
            f"{len(left)} jobs of an earlier Snakemake are still in Slurm ({_names(left)})",
            "none, since Snakemake would submit the same work a second time",
            _remedy(folder),
        )
    stack.enter_context(locks.hold(path, what, logs=[str(Path(log).resolve()) for log in logs], slurm=slurm))
    atexit.register(stack.close)
    return stack


def _remedy(folder: Path) -> str:
    """The one line that continues after a killed controller."""
    return f"go on with: python -m alertgrid resume --study {folder.name} --profile <yours> (see its --help)"


def orphans(folder: str | Path, workdir: str | Path = ".", slurm: bool = True) -> list[scheduler.Job]:
    """Jobs in Slurm that were submitted from `workdir` and belong to no other study's controller.

    Without `slurm` the scheduler is asked only when the last controller, killed, had used it.

    Raises
    ------
    StudyError
        Slurm does not answer, so that nobody can tell.
    """
    if not scheduler.available() or not (slurm or locks.read(Path(folder) / LOCK).get("slurm")):
        return []
    try:
        jobs = scheduler.jobs_in(workdir)
    except RuntimeError as error:
        raise StudyError("Slurm", str(error), "an answer", "try again when the scheduler is back") from error
    others = _run_ids(path for path in Path(folder).parent.glob(f"*/{LOCK}") if path.parent.name != Path(folder).name)
    return [job for job in jobs if job.comment.startswith(COMMENT) and not any(name in job.name for name in others)]


def _run_ids(paths) -> set[str]:
    """Names under which the controllers that left these locks have submitted."""
    found = set()
    for path in paths:
        for log in locks.read(path).get("logs", ()):
            with contextlib.suppress(OSError):
                found |= set(RUN_ID.findall(Path(log).read_text(encoding="utf-8")))
    return found


def _names(jobs: list[scheduler.Job]) -> str:
    """A few job numbers."""
    return ", ".join(job.number for job in jobs[:5]) + (", ..." if len(jobs) > 5 else "")
