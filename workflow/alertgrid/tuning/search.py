"""How is a search carried out? Workers share the trials that are left, at each start; then the results are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from ..errors import StudyError
from ..launch.sweep import run_tasks
from ..locks import hold
from .journal import Search, replace_interrupted, retry_failed, settled
from .results import write_results
from .worker import Objective, Worker


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
