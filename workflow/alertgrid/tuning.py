"""Which recipe and network settings are best for an architecture? Optuna's search, many trials at once, resumable.

Trials are kept in one journal file, which works on a shared disk without a database server. Each worker (a task of a
Slurm array, or a process on a laptop) asks the journal for its next trial. A trial that was interrupted is replaced by
one with the same settings and the same folder, so that its training goes on from its checkpoint. So is one that failed,
at the next start of the search: the reason (a GPU that was taken, a full disk) may have passed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import optuna
import pandas as pd
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from .errors import Interrupted, StudyError
from .files import write_csv, write_text
from .launch import scheduler
from .launch.sweep import run_tasks
from .locks import hold
from .training.interrupts import EXIT_STATUS, Watch

SETTLED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Objective(Protocol):
    """What is minimised. It must be picklable, and keep what it needs to go on in `folder`."""

    def __call__(self, settings: Mapping[str, Any], folder: Path, report: Callable[[int, float], None]) -> float:
        """Value of nested settings; `report(epoch, value)` after each epoch, which may end a hopeless trial."""


@dataclass(frozen=True)
class Search:
    """One search: where it is kept, what may vary, how trials are pruned.

    Parameters
    ----------
    folder : path
        On a disk that all workers share: journal.log, trials/, workers/.
    ranges : mapping
        Dotted name of a setting -> `{low, high}` with optional `log: true` or `step`, or `{choices: [...]}`.
    seed : int
        Of the sampler; with one worker a search repeats itself.
    startup_trials, warmup_epochs : int
        Trials before any is pruned, and epochs of a trial before it may be.
    output : path, optional
        Folder for the results; the search's own by default.
    """

    folder: Path
    ranges: Mapping[str, Mapping[str, Any]]
    seed: int = 0
    startup_trials: int = 5
    warmup_epochs: int = 3
    output: Path | None = None

    def open(self, offset: int = 0) -> optuna.Study:
        """The search in its journal, made if it is new; `offset` parts the draws of workers."""
        optuna.logging.set_verbosity(logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            study_name="search",
            storage=JournalStorage(JournalFileBackend(str(self.folder / "journal.log"))),
            sampler=optuna.samplers.TPESampler(seed=self.seed + offset, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(self.startup_trials, self.warmup_epochs),
            direction="minimize",
            load_if_exists=True,
        )


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

    @property
    def name(self) -> str:
        """Written on each of its trials."""
        return f"{self.launch}-{self.number}"

    def __call__(self) -> int:
        """Run trials until the share is done; their number."""
        try:
            with Watch() as watch:  # at its end it hands a signal on: submitit then requeues the job, and ends here
                return self._work(watch)
        except Interrupted:
            if "SUBMITIT_EXECUTOR" not in os.environ:  # in the process of the one who started it
                raise
            # No result is left, since there is another life: from here if Slurm agrees, else by the next start.
            scheduler.requeue_self()
            sys.exit(EXIT_STATUS)

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


def suggest(trial: Trial, ranges: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Draw settings within their ranges, nested as in config.yaml."""
    drawn: dict[str, Any] = {}
    for name, bounds in ranges.items():
        if "choices" in bounds:
            # Optuna's choices are plain values; lists (such as head widths) travel as JSON.
            options = [json.dumps(choice) for choice in bounds["choices"]]
            drawn[name] = json.loads(trial.suggest_categorical(name, options))
        elif all(isinstance(bounds[end], int) for end in ("low", "high")):
            drawn[name] = trial.suggest_int(name, **bounds)
        else:
            drawn[name] = trial.suggest_float(name, **bounds)
    return nest(drawn)


def nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested mappings: `{"a.b": 1}` becomes `{"a": {"b": 1}}`."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        *parents, last = name.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return result


def settled(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end of their own."""
    replaced = _replaced(study)
    trials = study.get_trials(deepcopy=False, states=SETTLED)
    return [trial for trial in trials if trial.number not in replaced]


def _replaced(study: optuna.Study) -> set[int]:
    """Numbers of interrupted and failed trials whose settings went on in another one."""
    return {trial.user_attrs.get("replaces") for trial in study.get_trials(deepcopy=False)}


def retry_failed(study: optuna.Study) -> None:
    """Put trials that failed into the queue again, once each; a start of the search is asked for by somebody."""
    for trial in settled(study):
        if trial.state == TrialState.FAIL:
            _enqueue_again(study, trial)


def replace_interrupted(study: optuna.Study, worker: str | None = None) -> None:
    """End trials that a dead worker left running, and put the same settings, with their folder, first in the queue."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if worker is None or trial.user_attrs.get("worker") == worker:
            _enqueue_again(study, trial)
            study.tell(trial.number, state=TrialState.FAIL)


def _enqueue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the settings of a trial, with its folder, in its place."""
    folder = trial.user_attrs.get("folder", f"t{trial.number}")
    study.enqueue_trial(trial.params, user_attrs={"folder": folder, "replaces": trial.number})


def tune(
    search: Search,
    objective: Objective,
    *,
    trials: int,
    workers: int = 1,
    cluster: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Search until `trials` trials have come to an end, over as many starts as it takes, and write the results.

    A trial that failed is tried once more at each start.

    Parameters
    ----------
    trials : int
        In all; those of earlier starts count.
    workers : int
        Trials at once.
    cluster, parameters
        As `launch.sweep.run_tasks` takes them.

    Raises
    ------
    StudyError
        Another search is under way in this folder, a worker was lost, or no trial succeeded.
    """
    with hold(search.folder / "lock.json", f"tuning in {search.folder}"):
        study = search.open()
        study.set_user_attr("trials", trials)  # so that `status` can say how many are left
        replace_interrupted(study)
        retry_failed(study)
        left = trials - len(settled(study))
        shares = [share for share in _shares(left, workers) if share]
        tasks = [Worker(search, objective, share, number) for number, share in enumerate(shares)]
        options = {"cluster": cluster, "parameters": dict(parameters or {})}
        results = run_tasks(tasks, folder=search.folder / "workers", at_once=workers, **options) if tasks else []
        _check(search, study, results)
        write_results(search, study)
    return study


def _shares(total: int, workers: int) -> list[int]:
    """Divide trials among workers as evenly as possible."""
    return [max(total, 0) // workers + (number < max(total, 0) % workers) for number in range(workers)]


def _check(search: Search, study: optuna.Study, results: list[Any]) -> None:
    """Refuse to call a search done that is not."""
    lost = [result for result in results if isinstance(result, BaseException)]
    if lost:
        raise StudyError(str(search.folder), f"a worker was lost: {lost[0]}", "all workers to end", "start tune again")
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        reasons = {trial.user_attrs.get("error", "pruned") for trial in settled(study)}
        remedy = f"mend the reason and start again: they are tried once more ({search.folder} holds the journal)"
        raise StudyError(str(search.folder), f"no trial succeeded: {sorted(reasons)}", "one at least", remedy)


def write_results(search: Search, study: optuna.Study) -> None:
    """Write trials.csv, importance.csv and, at last, best.yaml: nested settings, the value and what was searched."""
    best = study.best_trial
    settings = nest({name: _plain(search, name, value) for name, value in best.params.items()})
    content = {"value": best.value, "trial": best.number, "trials": len(settled(study)), "settings": settings}
    folder = search.output or search.folder
    write_csv(folder / "trials.csv", trial_table(study))
    write_csv(folder / "importance.csv", importance_table(study))
    write_text(folder / "best.yaml", yaml.safe_dump(content, sort_keys=False))


def _plain(search: Search, name: str, value: Any) -> Any:
    """A drawn value as the objective got it."""
    return json.loads(value) if "choices" in search.ranges[name] else value


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """One row per trial: number, state, value, epochs reported, seconds, folder, error and one column per setting."""
    replaced = _replaced(study)
    rows = [
        {
            "trial": trial.number,
            "state": "replaced" if trial.number in replaced else trial.state.name.lower(),
            "value": trial.value,
            "epochs": len(trial.intermediate_values),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "folder": trial.user_attrs.get("folder"),
            "error": trial.user_attrs.get("error"),
            **trial.params,
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    return pd.DataFrame(rows)


def importance_table(study: optuna.Study) -> pd.DataFrame:
    """Share of the value's variance that each setting explains (functional ANOVA); empty when it cannot be told."""
    columns = ["setting", "importance", "n_trials"]
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return pd.DataFrame(columns=columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.DataFrame([(name, share, len(complete)) for name, share in shares.items()], columns=columns)
