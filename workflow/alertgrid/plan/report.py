"""The plan as text, and what a budget says to it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..errors import StudyError
from ..status import duration
from .estimate import Plan

# Key of a budget -> its unit, and what a plan comes to in it.
LIMITS = {
    "gpu_hours": ("GPU-hours", lambda plan: plan.gpu_hours),
    "disk_gb": ("GB of disk", lambda plan: (plan.disk_bytes + plan.scratch_bytes) / 1e9),
}
# Stage -> what its tasks are called; trainings and fusions are the runs of the grid.
NAMES = {"pretrain": "pre-trainings", "tune": "trials", "time": "timings", "score": "published models"}
TRUST = ("recorded", "measured", "guess")  # from the best to the weakest


def describe(plan: Plan) -> str:
    """A line for every cell, then counts, cost, and which of the numbers are guesses."""
    left = plan.tasks[~plan.tasks["done"]]
    hours, kind = left["hours"].sum(), "GPU-hours" if plan.device == "cuda" else "hours of CPU runs"
    total = plan.gpu_hours if plan.device == "cuda" else plan.tasks["hours"].sum()
    lines = [
        list_cells(plan.tasks),
        "",
        f"{_counted(plan.tasks)}; {plan.jobs} jobs to come, {plan.other_jobs} of them for data and report",
        f"{hours:.2f} {kind} to come, {total:.2f} in all",
        f"{duration(plan.wall_seconds)} of wall time, {plan.concurrency} jobs at once (queueing not counted)",
        f"{plan.disk_bytes / 1e9:.2f} GB of disk for data and runs, and {plan.scratch_bytes / 1e9:.2f} GB on the way",
        *_guesses(left),
        "Not counted: the time of making data, corpora and report.",
    ]
    return "\n".join(lines)


def _guesses(left: pd.DataFrame) -> list[str]:
    """How much of what is to come rests on guesses, and on which."""
    guessed = left[left["basis"] == "guess"]
    if guessed.empty:
        return []
    share = guessed["hours"].sum() / left["hours"].sum()
    said = f"{share:.0%} of the hours to come rest on guesses ({len(guessed)} tasks), good to a factor of two or three:"
    return [said, *(f"  {source}" for source in sorted(guessed["source"].unique()))]


def list_cells(tasks: pd.DataFrame) -> str:
    """One line for every cell, encoder, search, timing and published model, in the order of the study.

    Columns: runs (or trials), done, jobs to come, hours of one device in all, and the weakest ground of these hours.
    """
    jobs = tasks["job"].where(~tasks["done"])
    table = tasks.assign(jobs=jobs, trust=tasks["basis"].map(TRUST.index)).groupby("cell", sort=False)
    table = table.agg(runs=("run", "size"), done=("done", "sum"), jobs=("jobs", "nunique"), hours=("hours", "sum"),
                      trust=("trust", "max")).reset_index()  # fmt: skip
    table["basis"] = [TRUST[trust] for trust in table.pop("trust")]
    width = table["cell"].str.len().max()
    formatters = {"cell": f"{{:<{width}}}".format, "hours": _significant}
    return table.to_string(index=False, formatters=formatters)


def _significant(hours: float) -> str:
    """Hours with two digits that count, since seconds and days stand in one column."""
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"


def _counted(tasks: pd.DataFrame) -> str:
    """How many cells and runs there are, and how much of everything is done."""
    runs = tasks[~tasks["stage"].isin(NAMES)]
    counts = [f"{runs['cell'].nunique()} cells, {len(runs)} runs, {int(runs['done'].sum())} of them done"]
    for stage, name in NAMES.items():
        part = tasks[tasks["stage"] == stage]
        counts += [f"{len(part)} {name}, {int(part['done'].sum())} done"] * bool(len(part))
    return "; ".join(counts)


def check_budget(plan: Plan, budget: Mapping[str, float], where: str) -> None:
    """Refuse a study that costs more than it may. What is finished already is never refused.

    Parameters
    ----------
    budget : mapping
        Any of the keys of LIMITS.
    where : str
        Dotted key of the study.

    Raises
    ------
    StudyError
        The GPU-hours (spent and to come) or the disk exceed the budget.
    """
    for key in () if plan.tasks["done"].all() else LIMITS.keys() & budget.keys():
        unit, cost = LIMITS[key]
        if cost(plan) > budget[key]:
            raise StudyError(
                f"{where}.budget.{key}",
                f"the plan comes to {cost(plan):.3g} {unit} (python -m alertgrid plan says how)",
                f"at most {budget[key]:g}, as config.yaml says",
                "make the grid smaller (architectures, fractions, seeds), or raise this key in config.yaml",
            )
