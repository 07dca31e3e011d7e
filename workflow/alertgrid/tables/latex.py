"""The main tables as LaTeX: one `longtable` each with the rules of booktabs, on pages in landscape."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import write_text

SHOWN = ("roc_auc", "average_precision", "f1", "mcc", "brier")
FIGURES = ("completeness", "purity", "f1")
MISSING = "--"
# A table of all cells is too wide for a page upright, and one of all differences is longer than a page.
PREAMBLE = """% Needs \\usepackage[margin=2cm]{geometry}
% and \\usepackage{booktabs,longtable,pdflscape}
% In a document of two columns: \\onecolumn before, \\twocolumn behind.
"""
_LAYOUT = "\\footnotesize\n\\setlength{\\tabcolsep}{4pt}\n\\setlength{\\LTcapwidth}{\\linewidth}\n"
_SPECIAL = str.maketrans(
    {letter: f"\\{letter}" for letter in "_%&#{}$"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    # Without the font encoding T1 these print as other letters.
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
)


def escape(text: object) -> str:
    """Text as LaTeX prints it."""
    return str(text).translate(_SPECIAL)


def with_interval(estimate: float, low: float, high: float) -> str:
    """An estimate with its interval, rounded to two digits of the interval's half width."""
    if not np.isfinite(estimate):
        return MISSING
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{estimate:.3f}"
    half = (high - low) / 2
    digits = int(np.clip(1 - np.floor(np.log10(half)), 0, 6)) if half > 0 else 3
    return f"${estimate:.{digits}f}\\,[{low:.{digits}f}, {high:.{digits}f}]$"


def with_power(value: float) -> str:
    """A number of two digits, small ones with a power of ten."""
    if not np.isfinite(value):
        return MISSING
    mantissa, _, power = f"{value:.2g}".partition("e")
    return f"${mantissa}\\times10^{{{int(power)}}}$" if power else mantissa


def wide(frame: pd.DataFrame, index: Sequence[str], columns: str, value: str = "estimate") -> pd.DataFrame:
    """One column per value of `columns`, entries with their intervals; `fraction` is in the index."""
    entries = [with_interval(*row) for row in frame[[value, "low", "high"]].to_numpy(float)]
    table = frame[[*index, columns]].assign(entry=entries)
    table = table.pivot_table(index=list(index), columns=columns, values="entry", aggfunc="first", sort=False)
    table = table.fillna(MISSING).reset_index()
    return table.assign(fraction=table["fraction"].map("{:g}".format))


def latex(frame: pd.DataFrame, caption: str, label: str, ready: Collection[str] = ()) -> str:
    """A table that may go over pages; entries are escaped but those of the columns `ready`."""
    made = frame.assign(**{name: frame[name].map(escape) for name in frame if name not in ready})
    made.columns = [escape(name.replace("_", " ")) for name in frame]
    said, layout = escape(caption), "l" * frame.shape[1]
    text = made.to_latex(index=False, longtable=True, caption=said, label=label, column_format=layout)
    text = text.replace(f"\\caption[]{{{said}}}", r"\caption[]{Continued.}")
    return f"{PREAMBLE}\\begin{{landscape}}\n{_LAYOUT}{text}\\end{{landscape}}\n"


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
    return latex(wide(kept, ["cell", "fraction"], "metric"), caption, "tab:performance", SHOWN)


def _differences(frame: pd.DataFrame) -> str:
    """Differences with Holm's p, one row each."""
    table = frame[["kind", "cell", "reference", "fraction", "metric"]].copy()
    table["difference"] = [with_interval(*row) for row in frame[["difference", "low", "high"]].to_numpy(float)]
    table["p (Holm)"] = frame["p_holm"].map(with_power)
    caption = (
        f"Differences on the same test sources with {_level(frame)} intervals; p after Holm's correction: "
        f"up to {frame['n_seeds'].max()} seeds, up to {frame['n_sources'].max()} sources. {_method(frame)}"
    )
    table["fraction"] = table["fraction"].map("{:g}".format)
    return latex(table, caption, "tab:differences", ["difference", "p (Holm)"])


def _policies(frame: pd.DataFrame) -> str:
    """Completeness, purity and F1 of all sources under each policy."""
    kept = frame[(frame["stratum"] == "all") & frame["metric"].isin(FIGURES)]
    caption = (
        f"Source-level figures under each policy with {_level(frame)} intervals: up to {kept['n_seeds'].max()} seeds, "
        f"up to {kept['n_sources'].max()} test sources. {_method(kept)}"
    )
    return latex(wide(kept, ["cell", "fraction", "policy"], "metric"), caption, "tab:policies", FIGURES)
