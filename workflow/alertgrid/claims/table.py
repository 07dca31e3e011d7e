"""Which published claims does this study support? Each claim's measured quantity, its interval, and a verdict by rule.

Claims 1 to 4 are those of arXiv 2512.11957, claim 5 of arXiv 2203.07390, claim 6 of arXiv 2508.16844. The rules are
arguments; nothing here looks at a figure and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..comparison import Group, contrast
from ..medians import coverage
from ..multiplier import in_words
from ..timing.results import beside_custom
from .rules import Rules, verdict

if TYPE_CHECKING:
    from ..tables.gather import Study

_MEASURED = ("estimate", "low", "high", "level", "method", "n_seeds", "n_sources")
COLUMNS = ("claim", "scope", "statement", "source", "quantity", *_MEASURED, "verdict", "reason")


@dataclass(frozen=True)
class Claim:
    """One published statement and how it is measured."""

    number: str
    statement: str
    source: str
    measure: Callable[..., Iterator[dict[str, Any]]]


def claims_table(study: Study, timing: pd.DataFrame, multipliers: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Judge every claim; one row per claim and scope, at least one per claim.

    Parameters
    ----------
    study : Study
        What was judged (see `tables.gather`).
    timing, multipliers : DataFrame
        timing.csv and multiplier.csv; may be empty.
    rules : Rules

    Returns
    -------
    DataFrame with the columns `COLUMNS`.
    """
    rows = []
    for claim in CLAIMS:
        found = list(claim.measure(study=study, timing=timing, multipliers=multipliers, rules=rules))
        key = {"claim": claim.number, "statement": claim.statement, "source": claim.source}
        rows += [{**key, **row} for row in found or [_absent("the study has no cells for it")]]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def _absent(reason: str, scope: str = "") -> dict[str, Any]:
    """A row for what was not measured."""
    empty = dict.fromkeys(_MEASURED, np.nan)
    return {"scope": scope, "quantity": "", **empty, "verdict": "not measured", "reason": reason}


def _judge(
    scope: str, quantity: str, terms: list[tuple[float, Group]], rules: Rules, threshold: float = 0.0, note: str = ""
) -> dict[str, Any]:
    """A row from a weighted sum of groups."""
    found = contrast(terms, rules.level)
    decided = verdict(found.low, found.high, threshold)
    where = {"supported": "lies above", "contradicted": "lies below", "undecided": "holds"}.get(
        decided, "is missing at"
    )
    seen = f"the {100 * rules.level:g} % interval {where} {threshold:g}"
    reason = f"{seen}; {found.method}"
    if found.one_seed and decided != "not measured":
        decided, reason = "undecided", f"one seed: {seen}, but the spread between seeds is not measured"
    reason += note
    ends = {"estimate": found.estimate, "low": found.low, "high": found.high, "level": rules.level}
    ends |= {"method": found.method, "n_seeds": found.n_seeds, "n_sources": len(terms[0][1].classes)}
    return {"scope": scope, "quantity": quantity, **ends, "verdict": decided, "reason": reason}


def _mean(groups: Sequence[Group], weight: float = 1.0) -> list[tuple[float, Group]]:
    """Terms of the mean of groups."""
    return [(weight / len(groups), member) for member in groups]


def _image_cells(study: Study, **axes: str) -> list[str]:
    """Cells of encoders on the labels as given and these axes."""
    return [
        cell
        for cell in study.find(**{"labels": "given", **axes})
        if study.cells.at[cell, "architecture"] != "external" and study.cells.at[cell, "inputs"] != "metadata"
    ]


def _largest(study: Study, *cells: str) -> float | None:
    """Largest fraction that all cells have."""
    common = set.intersection(*(set(study.fractions(cell)) for cell in cells))
    return max(common, default=None)


def _smallest(study: Study, *cells: str) -> float | None:
    """Smallest fraction that all cells have, where there are two at least."""
    common = set.intersection(*(set(study.fractions(cell)) for cell in cells))
    return min(common) if len(common) > 1 else None


def standard_match(study: Study, rules: Rules, **_: Any) -> Iterator[dict[str, Any]]:
    """Claim 1: per architecture and inputs, the mean over pre-trainings minus the custom CNN."""
    for reference in _image_cells(study, architecture=rules.baseline, stamps="all"):
        inputs = study.cells.at[reference, "inputs"]
        cells = [c for c in _image_cells(study, inputs=inputs, stamps="all") if study.fractions(c)]
        for architecture in dict.fromkeys(study.cells.loc[cells, "architecture"]):
            members = [c for c in cells if study.cells.at[c, "architecture"] == architecture]
            fraction = _largest(study, reference, *members)
            if architecture == rules.baseline or fraction is None:
                continue
            groups = [study.group(c, fraction, rules.metric) for c in [*members, reference]]
            if all(groups):
                quantity = f"{rules.metric}: mean over pre-trainings minus custom CNN, fraction {fraction:g}"
                terms = [*_mean(groups[:-1]), (-1.0, groups[-1])]
                yield _judge(f"{architecture}, {inputs}", quantity, terms, rules, -rules.margin)


def _matched(study: Study, axis: str, value: str, reference: str) -> list[tuple[str, str]]:
    """Pairs of cells that differ on one axis alone: `value` against `reference`."""
    found = []
    for cell in _image_cells(study, **{axis: value}):
        found += [(cell, other) for other in _image_cells(study, **{**study.axes(cell), axis: reference})]
    return found


def _paired_terms(study: Study, found, metric: str, choose: Callable) -> tuple[list[tuple[float, Group]], list[str]]:
    """Terms of the mean difference over pairs, each at the fraction that `choose` picks, and the pairs used."""
    terms, used = [], []
    for cell, other in found:
        fraction = choose(study, cell, other)
        groups = [study.group(name, fraction, metric) for name in (cell, other)] if fraction is not None else [None]
        if all(groups):
            terms += [(1.0, groups[0]), (-1.0, groups[1])]
            used.append(f"{cell} at {fraction:g}")
    count = max(len(used), 1)
    return [(weight / count, member) for weight, member in terms], used


def domain_pretraining(study: Study, rules: Rules, **_: Any) -> Iterator[dict[str, Any]]:
    """Claim 2: galaxy pre-training minus each other one, mean of pairs of cells; the published ones at least."""
    for other in dict.fromkeys([*Rules.others, *rules.others]):
        found = _matched(study, "pretraining", rules.domain, other)
        terms, used = _paired_terms(study, found, rules.metric, _largest)
        scope = f"{rules.domain} against {other}"
        quantity = f"{rules.metric}: {rules.domain} minus {other}, mean of {len(used)} pairs of cells"
        note = _not_as_published(rules.domain, other)
        yield _judge(scope, quantity, terms, rules, note=note) if used else _absent("no pair of cells for it", scope)


def _not_as_published(domain: str, other: str) -> str:
    """What a comparison of pre-trainings has other than claim 2, in words."""
    words = f"; here {domain} in the place of the Galaxy Zoo encoders" if domain != Rules.domain else ""
    return words + (f"; {other} is no part of the published claim" if other not in Rules.others else "")


def data_efficiency(study: Study, rules: Rules, multipliers: pd.DataFrame, **_: Any) -> Iterator[dict[str, Any]]:
    """Claim 4: each pre-training minus none at the smallest fraction; the data multipliers stand in the reason."""
    for start in dict.fromkeys(study.cells["pretraining"]):
        if start == "none":
            continue
        found = _matched(study, "pretraining", start, "none")
        terms, used = _paired_terms(study, found, rules.metric, _smallest)
        if used:
            quantity = (
                f"{rules.metric} at the smallest fraction: {start} minus none, mean of {len(used)} pairs of cells"
            )
            note = _multiplier_note(multipliers, [cell for cell, _ in found], rules.metric)
            yield _judge(f"{start} against none", quantity, terms, rules, note=note)


def _multiplier_note(multipliers: pd.DataFrame, cells: Sequence[str], metric: str) -> str:
    """Data multipliers of some cells in words."""
    if multipliers.empty:
        return ""
    rows = multipliers[multipliers["cell"].isin(cells) & (multipliers["metric"] == metric)]
    words = [f"{row.cell} {in_words(row.status, row.multiplier, row.low, row.high)}" for row in rows.itertuples()]
    return f"; data multipliers: {', '.join(words)}" if words else ""


def difference_image(study: Study, rules: Rules, **_: Any) -> Iterator[dict[str, Any]]:
    """Claim 5: accuracy with all stamps minus without the difference image."""
    terms, used = _paired_terms(study, _matched(study, "stamps", "all", rules.without), "accuracy", _largest)
    if used:
        quantity = f"accuracy: all stamps minus {rules.without}, mean of {len(used)} pairs of cells"
        note = "; published on other data (Dark Energy Survey): 0.96 against 0.911"
        yield _judge(f"all against {rules.without}", quantity, terms, rules, note=note)


def difference_image_trend(study: Study, rules: Rules, **_: Any) -> Iterator[dict[str, Any]]:
    """Claim 6: what the difference image buys at the smallest fraction minus what it buys at the largest."""
    found = [pair for pair in _matched(study, "stamps", "all", rules.without) if _smallest(study, *pair) is not None]
    early, used = _paired_terms(study, found, rules.metric, _smallest)
    late, _ = _paired_terms(study, found, rules.metric, _largest)
    if used:
        quantity = f"{rules.metric}: gain from the difference image, smallest minus largest fraction, {len(used)} pairs"
        terms = early + [(-weight, member) for weight, member in late]
        yield _judge(f"all against {rules.without}", quantity, terms, rules)


def cheaper_inference(timing: pd.DataFrame, rules: Rules, **_: Any) -> Iterator[dict[str, Any]]:
    """Claim 3: throughput, memory and parameters beside the custom CNN of the same job, per network and device."""
    if timing.empty:
        return
    rows = beside_custom(timing[(timing["precision"] == rules.precision) & (timing["mode"] == rules.mode)])
    # A network of metadata alone stands beside a CNN of images, which is no comparison of like with like.
    rows = rows[(rows["architecture_custom"] == rules.baseline) & (rows["inputs"] == rows["inputs_custom"])]
    for _, part in rows.groupby(["job", "device"], sort=False):
        yield from _timing_rows(part.loc[part["batch"].idxmax()])


def _timing_rows(row: pd.Series) -> Iterator[dict[str, Any]]:
    """Three rows: custom CNN's time and memory over the network's, and the network's parameters over the CNN's."""
    scope = f"{row['architecture']}, {row['inputs']}, {row['device']}, batch {row['batch']}"
    turns = f"median of {row['repeats']} turns, its interval covers {100 * coverage(row['repeats']):.0f} %"
    ends = row["relative_low"], row["relative_high"]
    quantity = "throughput over the custom CNN's (above 1: less time)"
    yield _ratio_row(scope, quantity, row["relative_to_custom"], turns, *ends)
    quantity = "custom CNN's memory over the network's, weights and peak of a call (above 1: less memory)"
    memory = row["memory_mb_custom"] / row["memory_mb"]
    yield _ratio_row(scope, quantity, memory, "greatest of two calls of each and its weights, which is what must fit")
    parameters = row["parameters"] / row["parameters_custom"]
    yield _ratio_row(scope, "parameters over the custom CNN's", parameters, "counted")


def _ratio_row(
    scope: str, quantity: str, value: float, how: str, low: float | None = None, high: float | None = None
) -> dict:
    """A row for a ratio that the claim says is above one; without a spread the value stands for its ends."""
    low, high = (value if end is None else end for end in (low, high))
    ends = {"estimate": value, "low": low, "high": high, "method": how}
    decided = verdict(low, high, 1.0)
    return {"scope": scope, "quantity": quantity, **ends, "verdict": decided, "reason": f"{how}, against 1"}


CLAIMS = (
    Claim("1", "Standard architectures match or beat the custom CNN.", "arXiv 2512.11957", standard_match),
    Claim("2", "Galaxy Zoo pre-training tends to beat ImageNet and random.", "arXiv 2512.11957", domain_pretraining),
    Claim(
        "3",
        "Standard architectures need less time and memory for inference than the custom CNN, although they have more "
        "parameters.",
        "arXiv 2512.11957",
        cheaper_inference,
    ),
    Claim("4", "Pre-training makes better use of few training sources.", "arXiv 2512.11957", data_efficiency),
    Claim("5", "Dropping the difference image costs accuracy.", "arXiv 2203.07390", difference_image),
    Claim(
        "6",
        "Dropping the difference image costs less as the training set grows.",
        "arXiv 2508.16844",
        difference_image_trend,
    ),
)
