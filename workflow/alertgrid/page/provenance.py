"""Where the numbers come from: revisions, versions, devices and hashes found in the run records."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

_PREFIXES = {
    "hardware.": "Hardware",
    "versions.": "Versions",
    "input_hashes.": "Inputs (SHA-256)",
}
_PLAIN = {
    "git_revision": "git revision",
    "device": "device",
    "precision": "precision",
    "threads": "threads",
}
_ENCODER = "input_hashes.encoder"  # the same as initial_weights.sha256, which are told with their names
# Fusions start from runs of their own; a list of those hashes would help nobody, and runs.csv has them.
_SHOWN_HASHES = 2


def provenance(runs: pd.DataFrame | None) -> dict[str, dict[str, str]]:
    """Collect what the runs say of themselves.

    Parameters
    ----------
    runs : DataFrame or None
        runs.csv: flattened run records, nested keys joined by dots.

    Returns
    -------
    dict
        Heading -> {name: value}. Where runs differ, each value is followed by its number of runs.
    """
    if runs is None or runs.empty:
        return {}
    plain = {label: _values(runs[key]) for key, label in _PLAIN.items() if key in runs}
    groups = {"Runs": {"runs": f"{len(runs):,}"} | plain}
    for prefix, title in _PREFIXES.items():
        describe = _hashes if "hashes" in prefix else _values
        names = sorted(column for column in runs if column.startswith(prefix) and column != _ENCODER)
        groups[title] = {name.removeprefix(prefix).replace("_", " "): describe(runs[name]) for name in names}
    groups["Initial weights (SHA-256)"] = _initial_weights(runs)
    known = {title: {name: text for name, text in found.items() if text} for title, found in groups.items()}
    return {title: found for title, found in known.items() if found}


def _initial_weights(runs: pd.DataFrame) -> dict[str, str]:
    """Architecture and what its weights had seen -> their hash; random weights have none."""
    if "initial_weights.sha256" not in runs:
        return {}
    keys = ["architecture", "initial_weights.label"]
    known = runs[runs["initial_weights.sha256"].notna()]
    return {", ".join(key): _hashes(rows["initial_weights.sha256"]) for key, rows in known.groupby(keys, sort=False)}


def _hashes(column: pd.Series) -> str:
    """The hash or the few there are; only the number of many."""
    count = column.nunique()
    return _values(column) if count <= _SHOWN_HASHES else f"{count:,} files, in runs.csv"


def _values(column: pd.Series, shown: int = 6) -> str:
    """The value, or the commonest values with their numbers of runs."""
    counts = column.dropna().map(_plain).value_counts(sort=True)
    if len(counts) < 2:
        return "".join(counts.index)
    parts = [f"{value} ({count} {'run' if count == 1 else 'runs'})" for value, count in counts.head(shown).items()]
    return ", ".join(parts) + (f" and {len(counts) - shown} more" if len(counts) > shown else "")


def _plain(value) -> str:
    """Whole numbers without their decimal point."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def merge(groups: dict[str, dict[str, str]], more: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Add headings or entries; the later ones win."""
    result = {title: dict(entries) for title, entries in groups.items()}
    for title, entries in more.items():
        result.setdefault(title, {}).update({name: str(value) for name, value in entries.items()})
    return result
