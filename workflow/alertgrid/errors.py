"""The one error a user should ever meet: where, what, what was expected, what to do. And the stop that is no error."""

from __future__ import annotations


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
