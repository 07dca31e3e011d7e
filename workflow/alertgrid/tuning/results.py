"""What did a search find? The best settings, the table of its trials, and what mattered."""

from __future__ import annotations

import json
import warnings
from typing import Any

import optuna
import pandas as pd
import yaml
from optuna.trial import TrialState

from ..files import write_csv, write_text
from .journal import Search, nest, replaced, settled


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
    gone = replaced(study)
    rows = [
        {
            "trial": trial.number,
            "state": "replaced" if trial.number in gone else trial.state.name.lower(),
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
