"""The one error a user should ever meet: where, what, what was expected, what to do. And the stop that is no error."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

FULL = os.strerror(errno.ENOSPC)
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


class StudyError(Exception):
    """Input or settings the study cannot go on with.

    Parameters
    ----------
    where : str
        File and row, or dotted configuration key.
    problem : str
        What was found there.
    expected : str
        What would have been accepted.
    remedy : str
        The next thing for the user to do.
    """

    def __init__(self, where: str, problem: str, expected: str, remedy: str):
        super().__init__(where, problem, expected, remedy)
        self.where, self.problem, self.expected, self.remedy = where, problem, expected, remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}\n  expected: {self.expected}\n  what to do: {self.remedy}"


class Interrupted(Exception):
    """A training was asked to stop; it is saved and can be continued."""


@contextlib.contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Say what a disk that is full, over quota or read-only means for whoever writes `path` within the block.

    Libraries in C (HDF5, safetensors) raise errors of their own, which hold the system's words in their text.

    Raises
    ------
    StudyError
        In place of such an error; any other passes.
    """
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        full = FULL in str(error)
        if not full and getattr(error, "errno", None) not in REFUSED:
            raise
        raise StudyError(
            str(path),
            f"cannot be written: {FULL if full else error}",
            "a disk with space, and the right to write there",
            "mend it and start again; what is finished and the last checkpoint are kept",
        ) from error
