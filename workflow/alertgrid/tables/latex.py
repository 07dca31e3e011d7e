"""The main tables as LaTeX, ready for `booktabs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import write_text

SHOWN = ("roc_auc", "average_precision", "f1", "mcc", "brier")
FIGURES = ("completeness", "purity", "f1")
MISSING = "--"
_SPECIAL = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#"}


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(letter, letter) for letter in str(text))


def with_interval(estimate: float, low: float, high: float) -> str:
    """An estimate with its interval, rounded to two digits of the interval's half width."""
    if not np.isfinite(estimate):
        return MISSING
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{estimate:.3f}"
    half = (high - low) / 2
    digits = int(np.clip(1 - np.floor(np.log10(half)), 0, 6)) if half > 0 else 3
    return f"${estimate:.{digits}f}\\,[{low:.{digits}f}, {high:.{digits}f}]$"


def wide(frame: pd.DataFrame, index: Sequence[str], columns: str, value: str = "estimate") -> pd.DataFrame:
    """One column per value of `columns`, entries with their intervals."""
    entries = [with_interval(*row) for row in frame[[value, "low", "high"]].to_numpy(float)]
    table = frame[[*index, columns]].assign(entry=entries)
    table = table.pivot_table(index=list(index), columns=columns, values="entry", aggfunc="first", sort=False)
    return table.fillna(MISSING).reset_index()


def latex(frame: pd.DataFrame, caption: str, label: str) -> str:
    """A `table` environment with booktabs rules."""
    lines = [" & ".join(escape(name).replace(r"\_", " ") for name in frame) + r" \\", r"\midrule"]
    for row in frame.itertuples(index=False):
        cells = [entry if isinstance(entry, str) and entry.startswith("$") else escape(entry) for entry in row]
        lines.append(" & ".join(cells) + r" \\")
    body = "\n".join(lines)
    head = f"\\begin{{table}}\n\\caption{{{escape(caption)}}}\n\\label{{{label}}}\n"
    form = f"\\begin{{tabular}}{{{'l' * frame.shape[1]}}}\n\\toprule\n"
    return f"{head}{form}{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"


def write_latex(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write performance.tex, differences.tex and policies.tex, where the table has rows; remove earlier ones."""
    for name, make in (("performance", _performance), ("differences", _differences), ("policies", _policies)):
        frame, path = tables[name], folder / f"{name}.tex"
        if len(frame):
            write_text(path, make(frame))
        else:
            path.unlink(missing_ok=True)  # of an earlier report


def _level(frame: pd.DataFrame) -> str:
    """Level of the intervals in words."""
    return f"{100 * frame['level'].iloc[0]:g} %"


def _method(frame: pd.DataFrame) -> str:
    """Commonest method of the intervals, as a sentence."""
    methods = frame.loc[frame["low"].notna(), "method"].value_counts()
    return f"Method: {methods.index[0]}{', or as the CSV says' if len(methods) > 1 else ''}." if len(methods) else ""


def _performance(frame: pd.DataFrame) -> str:
    """Main metrics per cell and fraction."""
    kept = frame[frame["metric"].isin(SHOWN)]
    caption = (
        f"Mean over seeds and {_level(frame)} interval over seeds and test sources: up to {kept['n_seeds'].max()} "
        f"seeds, {frame['n_alerts'].max()} test alerts of {frame['n_sources'].max()} sources. {_method(kept)}"
    )
    return latex(wide(kept, ["cell", "fraction"], "metric"), caption, "tab:performance")


def _differences(frame: pd.DataFrame) -> str:
    """Differences with Holm's p, one row each."""
    table = frame[["kind", "cell", "reference", "fraction", "metric"]].copy()
    table["difference"] = [with_interval(*row) for row in frame[["difference", "low", "high"]].to_numpy(float)]
    table["p (Holm)"] = [f"{p:.2g}" if np.isfinite(p) else MISSING for p in frame["p_holm"]]
    caption = (
        f"Differences on the same test sources with {_level(frame)} intervals; p after Holm's correction: "
        f"up to {frame['n_seeds'].max()} seeds, up to {frame['n_sources'].max()} sources. {_method(frame)}"
    )
    return latex(table, caption, "tab:differences")


def _policies(frame: pd.DataFrame) -> str:
    """Completeness, purity and F1 of all sources under each policy."""
    kept = frame[(frame["stratum"] == "all") & frame["metric"].isin(FIGURES)]
    caption = (
        f"Source-level figures under each policy with {_level(frame)} intervals: up to {kept['n_seeds'].max()} seeds, "
        f"up to {kept['n_sources'].max()} test sources. {_method(kept)}"
    )
    return latex(wide(kept, ["cell", "fraction", "policy"], "metric"), caption, "tab:policies")
