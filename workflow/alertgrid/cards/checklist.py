"""The reproducibility checklist: questions of Pineau et al. 2020 (arXiv 2003.12206), answered from the run records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ..page.views import number, significant

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Answer:
    """One question, its answer and where the evidence lies."""

    part: str
    question: str
    answer: str
    evidence: str


def answers(tables: Tables, facts: Mapping[str, str]) -> list[Answer]:
    """Answer every question; what no record says is "not recorded", never assumed.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The report's tables.
    facts : mapping of str to str
        What no record can know: "code", "data", "licence", "dependencies", "commands".
    """
    runs = tables.get("runs")
    runs = pd.DataFrame() if runs is None else runs
    return [*_models(tables, runs), *_data(tables, runs, facts), *_code(runs, facts), *_results(tables, runs)]


def _answer(part: str, question: str, evidence: str, share: float = 1.0) -> Answer:
    """No evidence: not recorded; evidence for some runs only: in part."""
    known = "not recorded" if not evidence or share == 0 else "yes" if share == 1 else "in part"
    return Answer(part, question, known, evidence if share else "")


def _recorded(runs: pd.DataFrame, column: str) -> float:
    """Share of the runs that have a value."""
    return float(runs[column].notna().mean()) if column in runs and len(runs) else 0.0


def _models(tables: Tables, runs: pd.DataFrame) -> list[Answer]:
    """Models: what they are and what they cost."""
    part = "Models"
    sizes = runs["n_parameters"].dropna() if "n_parameters" in runs else pd.Series(dtype=float)
    span = f"{sizes.min():,.0f} to {sizes.max():,.0f} parameters, runs.csv" if len(sizes) else ""
    names = ", ".join(sorted(runs["architecture"].dropna().unique())) if "architecture" in runs else ""
    timing = tables.get("timing")
    measured = timing is not None and len(timing)
    devices = ", ".join(map(str, timing["device"].unique())) if measured else ""
    return [
        _answer(part, "Is every model named and described?", f"{names}; a model card per cell" if names else ""),
        _answer(part, "Is the number of parameters given?", span, _recorded(runs, "n_parameters")),
        _answer(part, "Is the cost of inference measured?", f"timing.csv: {devices}" if devices else ""),
    ]


def _data(tables: Tables, runs: pd.DataFrame, facts: Mapping[str, str]) -> list[Answer]:
    """Data: sizes, splits, exclusions, identity."""
    part, counts, refused = "Data", tables.get("dataset_counts"), tables.get("dataset_refused")
    sizes = ""
    if counts is not None and len(counts):
        total = counts[counts["band"] == "all"].groupby("split")[["n_alerts", "n_sources"]].sum()
        sizes = "; ".join(
            f"{split}: {row.n_alerts:,} alerts of {row.n_sources:,} sources" for split, row in total.iterrows()
        )
    left_out = ""
    if refused is not None:
        total = int(refused["n_alerts"].sum()) if len(refused) else 0
        left_out = f"{total:,} alerts refused, {len(refused)} reasons, dataset_refused.csv"
    hashes = [f"input_hashes.{name}" for name in ("dataset", "catalogue")]
    share = min(_recorded(runs, column) for column in hashes)
    return [
        _answer(part, "Are the numbers of examples given for every split?", sizes),
        _answer(part, "Is it said what was left out, and why?", left_out),
        _answer(part, "Can the data be identified?", "SHA-256 of dataset and catalogue in the run records", share),
        _answer(part, "Where are the data, under which licence?", facts.get("data", "")),
    ]


def _code(runs: pd.DataFrame, facts: Mapping[str, str]) -> list[Answer]:
    """Code: where it is, at which revision, with which dependencies."""
    part = "Code"
    versions = sorted(column.removeprefix("versions.") for column in runs if column.startswith("versions."))
    share = min((_recorded(runs, f"versions.{name}") for name in versions), default=0.0)
    revisions = runs["git_revision"].dropna().unique() if "git_revision" in runs else []
    evidence = f"{', '.join(str(name)[:12] for name in revisions[:5])}, in the run records" if len(revisions) else ""
    return [
        _answer(part, "Where is the code?", facts.get("code", "")),
        _answer(part, "Is the revision recorded?", evidence, _recorded(runs, "git_revision")),
        _answer(part, "Are the versions recorded?", ", ".join(versions), share),
        _answer(part, "Are the dependencies pinned?", facts.get("dependencies", "")),
        _answer(part, "Are the commands given?", facts.get("commands", "")),
        _answer(part, "Are the trained weights kept, under which licence?", _weights(facts.get("licence", ""))),
    ]


def _weights(licence: str) -> str:
    """Where the weights of each run lie, and their licence; nothing where it is not known."""
    return f"weights.safetensors in the folder of each run; {licence}" if licence else ""


def _results(tables: Tables, runs: pd.DataFrame) -> list[Answer]:
    """Results: how many runs, how judged, with what spread, on which machine."""
    part, lost = "Results", tables.get("missing")
    settings = [column for column in runs if column.startswith("settings.")]
    kept = f"{len(settings)} settings in the run records" if settings else ""
    share = min((_recorded(runs, column) for column in ("best_val_loss", "best_epoch")), default=0.0)
    failed = "" if lost is None else f"; {(lost['what'] == 'run').sum()} failed or missing, missing.csv"
    return [
        _answer(part, "Are the hyper-parameters given?", kept),
        _answer(part, "Is the number of runs given?", f"{len(runs)} runs{failed}" if len(runs) else ""),
        _answer(part, "Is there a validation score for every test score?", "runs.csv; metrics.csv, split val", share),
        _answer(
            part, "Are results given with their variation, and is it defined?", _intervals(tables.get("performance"))
        ),
        _answer(part, "Are many comparisons corrected for?", _corrected(tables.get("differences"))),
        _answer(part, "Is the training time given?", _cost(tables.get("training_cost"))),
        _answer(part, "Is the machine described?", _machines(runs), _recorded(runs, "hardware.device_name")),
    ]


def _intervals(table: pd.DataFrame | None) -> str:
    """Level, method and n of the intervals."""
    if table is None or "method" not in table or not table["n_seeds"].any():
        return ""
    table = table[table["n_seeds"] > 0]
    seeds = f"{table['n_seeds'].min():g} to {table['n_seeds'].max():g} seeds"
    sample = f"{seeds}, {table['n_sources'].max():g} test sources"
    return f"{100 * table['level'].iloc[0]:g} % intervals, {sample}: {table['method'].mode()[0]}"


def _corrected(table: pd.DataFrame | None) -> str:
    """How many differences were tested."""
    if table is None or table.empty or "p_holm" not in table:
        return ""
    return f"Holm's correction over {table['p_holm'].count()} differences, differences.csv"


def _cost(table: pd.DataFrame | None) -> str:
    """Wall time per run and GPU-hours in all."""
    if table is None or table.empty:
        return ""
    minutes = table["wall_seconds"] / 60
    span = f"{significant(minutes.min())} to {significant(minutes.max())} minutes per run or pre-training"
    return f"{span}, {number(table['gpu_hours'].sum(), 1)} GPU-hours in all, training_cost.csv"


def _machines(runs: pd.DataFrame) -> str:
    """Names of the devices that the runs ran on, and their drivers."""
    columns = ["hardware.device_name", "hardware.driver"]
    found = runs.reindex(columns=columns).dropna(subset=columns[:1]).drop_duplicates()
    return "; ".join(" driver ".join(map(str, row.dropna())) for _, row in found.iterrows())
