"""Who runs the trials of a search? Workers that take one after the other from the journal, and may be interrupted."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ..errors import Interrupted
from ..launch import scheduler
from ..training.interrupts import EXIT_STATUS, Watch
from .journal import Search, replace_interrupted, settled, suggest

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Objective(Protocol):
    """What is minimised. It must be picklable, and keep what it needs to go on in `folder`."""

    def __call__(self, settings: Mapping[str, Any], folder: Path, report: Callable[[int, float], None]) -> float:
        """Value of nested settings; `report(epoch, value)` after each epoch, which may end a hopeless trial."""


@dataclass
class Worker:
    """Runs its share of trials; submitit calls `checkpoint` before a time limit and then starts it again.

    A warning (submitit's SIGUSR2, or SIGTERM) waits until the trial under way has saved, and only then ends the worker.
    """

    search: Search
    objective: Objective
    share: int
    number: int
    launch: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    gpus: str | None = field(default_factory=lambda: os.environ.get(VISIBLE))

    @property
    def name(self) -> str:
        """Written on each of its trials."""
        return f"{self.launch}-{self.number}"

    def __call__(self) -> int:
        """Run trials until the share is done; their number."""
        if os.environ.get("SUBMITIT_EXECUTOR") == "local":
            self._see_gpus()
        try:
            with Watch() as watch:  # at its end it hands a signal on: submitit then requeues the job, and ends here
                return self._work(watch)
        except Interrupted:
            if "SUBMITIT_EXECUTOR" not in os.environ:  # in the process of the one who started it
                raise
            # No result is left, since there is another life: from here if Slurm agrees, else by the next start.
            scheduler.requeue_self()
            sys.exit(EXIT_STATUS)

    def _see_gpus(self) -> None:
        """Trials on this machine share its GPUs; submitit's local executor hides them from its children."""
        os.environ.pop(VISIBLE, None)
        if self.gpus is not None:
            os.environ[VISIBLE] = self.gpus

    def _work(self, watch: Watch) -> int:
        """The trials of one life."""
        study = self.search.open()
        replace_interrupted(study, self.name)
        while (done := len(self._settled(study))) < self.share:
            watch.check()
            # Seeded anew for each trial, so that a worker that starts again does not repeat its draws.
            study.sampler = self.search.open(1000 * self.number + len(study.trials)).sampler
            self._run_one(study, watch)
        return done

    def checkpoint(self):
        """A worker for the next life; the journal knows what this one has done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(replace(self))

    def _settled(self, study: optuna.Study) -> list[FrozenTrial]:
        """Trials that this worker has brought to an end."""
        return [trial for trial in settled(study) if trial.user_attrs.get("worker") == self.name]

    def _run_one(self, study: optuna.Study, watch: Watch) -> None:
        """One trial; a failure is recorded with its reason, and the next one begins."""
        trial = study.ask()
        trial.set_user_attr("worker", self.name)
        folder = trial.user_attrs.get("folder", f"t{trial.number}")
        trial.set_user_attr("folder", folder)
        settings = suggest(trial, self.search.ranges)
        try:
            value = self.objective(settings, self.search.folder / "trials" / folder, _reporter(trial, watch))
        except Interrupted:
            raise  # the trial stays open, and goes on in the next life
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)


def _reporter(trial: Trial, watch: Watch) -> Callable[[int, float], None]:
    """Report an epoch's value; raises TrialPruned when the trial is worse than the median of the others.

    An objective that listens to no signal itself is stopped here, between two epochs.
    """

    def report(epoch: int, value: float) -> None:
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
        watch.check()

    return report
