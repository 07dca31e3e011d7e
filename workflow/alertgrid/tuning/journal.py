"""How are the trials of a search kept? In one journal, from which each has its settings, and may be queued again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

SETTLED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


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
    gone = replaced(study)
    trials = study.get_trials(deepcopy=False, states=SETTLED)
    return [trial for trial in trials if trial.number not in gone]


def replaced(study: optuna.Study) -> set[int]:
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
