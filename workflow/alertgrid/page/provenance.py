"""Where the numbers come from: revisions, versions, devices and hashes found in the run records."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

_PREFIXES = {"versions.": "Versions", "inputs.": "Inputs (SHA-256)"}
_PLAIN = {
    "git_revision": "git revision",
    "device": "device",
    "precision": "precision",
    "threads": "threads",
}


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
    groups: dict[str, dict[str, str]] = {
        "Runs": {"runs": f"{len(runs):,}"} | {label: _values(runs[key]) for key, label in _PLAIN.items() if key in runs}
    }
    for prefix, title in _PREFIXES.items():
        names = sorted(column for column in runs if column.startswith(prefix))
        found = {name.removeprefix(prefix): _values(runs[name]) for name in names}
        found = {name: text for name, text in found.items() if text}
        if found:
            groups[title] = found
    return groups


def _values(column: pd.Series, shown: int = 6) -> str:
    """The value, or the commonest values with their numbers of runs."""
    counts = column.dropna().map(_plain).value_counts(sort=True)
    if len(counts) < 2:
        return "".join(counts.index)
    parts = [f"{value} ({count} runs)" for value, count in counts.head(shown).items()]
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
