"""How a comparison is put in words: what each column means, and a short text to read in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ..figures.words import choose_metrics, fraction_label, metric_title
from ..page.views import interval, number

VERDICTS = {
    "higher": "greater after than before",
    "lower": "smaller after than before",
    "undecided": "no difference shown, or none that could be: with one seed the spread between seeds is not measured",
    "identical": "the same to the last digit",
    "not defined": "no estimate or no interval on one side",
}
# Column -> unit and meaning.
DICTIONARY = {
    "cell": ("", "architecture-pretraining-inputs[-stamps][-permuted], or the name of another classifier"),
    "fraction": ("", "share of the training sources, in (0, 1]"),
    "metric": ("", "figure of merit on the test alerts"),
    "before": ("that of the metric, or of the key", "mean over seeds (comparison), or the earlier value (changes)"),
    "before_low": ("that of the metric", "lower end of the interval before"),
    "before_high": ("that of the metric", "upper end of the interval before"),
    "after": ("that of the metric, or of the key", "mean over seeds (comparison), or the later value (changes)"),
    "after_low": ("that of the metric", "lower end of the interval after"),
    "after_high": ("that of the metric", "upper end of the interval after"),
    "difference": (
        "that of the metric",
        "after minus before, over the seeds that both have; over all of each where they share none",
    ),
    "low": ("that of the metric", "lower end of the interval of the difference"),
    "high": ("that of the metric", "upper end of the interval of the difference"),
    "p": ("", "two-sided p-value of no difference; empty where nothing varies or one seed alone is in both"),
    "p_holm": ("", "p after Holm's correction over all cells and fractions of the metric"),
    "detectable": ("that of the metric", "smallest true difference that a single test finds with the stated power"),
    "detectable_holm": ("that of the metric", "the same among all rows of the metric, at Holm's strictest step"),
    "se": ("that of the metric", "standard error of the difference"),
    "df": ("", "degrees of freedom of Student's t"),
    "level": ("", "coverage the intervals are made for"),
    "paired": ("", "whether both were judged on the same test objects"),
    "verdict": ("", "higher or lower where p_holm is below 1 - level; identical, undecided or not defined otherwise"),
    "method": ("", "how the interval of the difference was obtained"),
    "n_seeds": ("", "seeds that the difference rests on"),
    "n_seeds_before": ("", "seeds before"),
    "n_seeds_after": ("", "seeds after"),
    "n_sources_before": ("sources", "test sources before"),
    "n_sources_after": ("sources", "test sources after"),
    "what": ("", "key of run.json, nested keys joined by dots"),
    "n_runs": ("", "runs of both studies with exactly this change"),
    "run": ("", "a run's folder below runs/; in changes the first with this change"),
    "split": ("", "train, val or test"),
    "alerts_before": ("alerts", "alerts before"),
    "alerts_after": ("alerts", "alerts after"),
    "alerts_in_both": ("alerts", "alerts of this split in both, by candid"),
    "sources_before": ("sources", "sources before"),
    "sources_after": ("sources", "sources after"),
    "sources_in_both": ("sources", "sources of this split in both, by objectId"),
    "labels_changed": ("alerts", "alerts of this split in both whose label differs"),
    "seeds_before": ("", "seeds judged before"),
    "seeds_after": ("", "seeds judged after"),
    "only": ("", "the study that alone has this cell and fraction; empty where both have it with other seeds"),
    "study": ("", "which of the two studies"),
    "reason": ("", "why the run could not be judged"),
}


def pairing(reason: str) -> str:
    """How the differences were taken, as a sentence."""
    if reason:
        return (
            f"Differences are not paired over test objects: {reason}. Their intervals take the two test sets as "
            "independent, which makes them too wide where the sets share objects. Seeds that both have are paired."
        )
    return "Differences are paired over the same test objects, and over the seeds that both have."


def counted(table: pd.DataFrame, metric: str) -> str:
    """How many cells went up, down, or neither, in one metric."""
    rows = table[table["metric"] == metric]
    counts = rows["verdict"].value_counts()
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts]
    return f"{metric_title(metric)} of {len(rows)} cells and fractions: {', '.join(parts)}."


def text(tables: Mapping[str, pd.DataFrame], names: Sequence[str], reason: str, metrics: Sequence[str]) -> str:
    """The comparison as Markdown: counts, a table of the chosen metrics, what else differs, what only one has."""
    table = tables["comparison"]
    shown = choose_metrics(table, metrics)
    lines = [f"# {names[0]} (before) and {names[1]} (after)", "", pairing(reason), ""]
    lines += [f"* {counted(table, metric)}" for metric in shown]
    for metric in shown:
        lines += ["", f"## {metric_title(metric)}", "", *_rows(table[table["metric"] == metric])]
    lines += ["", "## What else differs", ""]
    lines += [_change(row) for row in tables["changes"].itertuples()] or ["Nothing that the run records hold."]
    lines += [_lone(row) for row in tables["lone_runs"].itertuples()]
    lines += _missing(tables["missing"])
    return "\n".join(lines) + "\n"


def _rows(table: pd.DataFrame) -> list[str]:
    """A Markdown table of one metric."""
    lines = ["| cell | training sources | before | after | after - before | verdict |", "| --- " * 6 + "|"]
    for row in table.itertuples():
        ends = (number(row.difference), number(row.low), number(row.high))
        difference = f"{ends[0]} ({ends[1]} to {ends[2]})" if all(ends) else ends[0]
        before = interval(row.before, row.before_low, row.before_high)
        after = interval(row.after, row.after_low, row.after_high)
        lines.append(
            f"| {row.cell} | {fraction_label(row.fraction)} | {before} | {after} | {difference} | {row.verdict} |"
        )
    return lines


def _change(row) -> str:
    """One changed setting, version or hash."""
    old, new = (str(value)[:60] or "not recorded" for value in (row.before, row.after))
    return f"* {row.what}: {old} -> {new} ({row.n_runs} runs, first {row.run})"


def _lone(row) -> str:
    """A cell and fraction that the studies do not share in full."""
    seeds = f"seeds before: {row.seeds_before or 'none'}; after: {row.seeds_after or 'none'}"
    return f"* {row.cell} at {fraction_label(row.fraction)}: {seeds}"


def _missing(table: pd.DataFrame) -> list[str]:
    """Runs that could not be judged, one line for each reason."""
    return [
        f"* {study}: {len(part)} runs could not be judged, first {part['run'].iloc[0]} ({reason})"
        for (study, reason), part in table.groupby(["study", "reason"], sort=False)
    ]
