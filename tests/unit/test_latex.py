"""The LaTeX tables: long and wide ones keep to their pages, everything is escaped, intervals are one entry."""

import re

import numpy as np
import pandas as pd
import pytest
import synthetic_report
from alertgrid.tables.latex import escape, latex, with_interval, with_power, write_latex

NAMES = ("performance", "differences", "policies")


@pytest.fixture(scope="module")
def tables():
    found = {name: synthetic_report.TABLES[name]() for name in NAMES}
    return {name: frame.assign(method="cluster bootstrap") for name, frame in found.items()}


@pytest.fixture(scope="module")
def texts(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latex")
    write_latex(tables, folder)
    return {name: (folder / f"{name}.tex").read_text() for name in NAMES}


def rows(text):
    """Lines of the table's body, cut at the columns."""
    body = text.split("\\endlastfoot\n")[1].split("\\end{longtable}")[0]
    assert all(line.endswith(r" \\") for line in body.splitlines())
    return [re.split(r"(?<!\\)&", line) for line in body.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_goes_over_pages_in_landscape_and_says_what_it_needs(texts, name):
    lines = texts[name].splitlines()
    assert "geometry" in lines[0]
    assert "booktabs,longtable,pdflscape" in lines[1]
    assert all(line.startswith("%") for line in lines[:3])
    assert lines[3] == r"\begin{landscape}"
    assert lines[-1] == r"\end{landscape}"
    caption = next(line for line in lines if line.startswith(r"\caption{"))
    assert all(word in caption for word in (r"95 \%", "seeds", "sources", "Method: ", rf"\label{{tab:{name}}}"))
    assert r"\caption[]{Continued.} \\" in lines
    (layout,) = re.findall(r"\\begin{longtable}{(l+)}", texts[name])
    assert {len(row) for row in rows(texts[name])} == {len(layout)}


def test_rows_are_all_there(tables, texts):
    assert len(rows(texts["differences"])) == len(tables["differences"])
    assert len(rows(texts["performance"])) == len(
        tables["performance"].dropna(subset="fraction").groupby(["cell", "fraction"])
    )
    assert r"btsbot\_cnn-none-image & 0.1 & $" in texts["performance"]


def test_every_special_letter_is_escaped():
    said = r"a_b%c&d#e{f}g$h\i~j^k<l>m|n"
    made = escape(said)
    assert made == (
        r"a\_b\%c\&d\#e\{f\}g\$h\textbackslash{}i\textasciitilde{}j\textasciicircum{}k\textless{}l\textgreater{}m"
        r"\textbar{}n"
    )
    frame = pd.DataFrame({"cell": [said, "$x$"], "own_score~": ["$1$", "--"]})
    text = latex(frame, f"of {said}", "tab:x", ["own_score~"])
    assert text.count(made) == 2
    assert r"\$x\$" in text
    assert r"own score\textasciitilde{} \\" in text
    assert "& $1$" in text


def test_entries_hold_their_interval():
    assert with_interval(0.91234, 0.9, 0.93) == r"$0.912\,[0.900, 0.930]$"
    assert with_interval(np.nan, 0, 1) == "--"
    assert with_interval(0.5, np.nan, 1) == "0.500"
    assert [with_power(value) for value in (0.5, 7.53e-5, np.nan)] == ["0.5", r"$7.5\times10^{-5}$", "--"]


def test_a_cell_whose_metric_lacks_a_seed_keeps_one_row(tables, tmp_path):
    table = tables["performance"].query("metric in ['roc_auc', 'average_precision'] and fraction == 1").copy()
    first = table["cell"].iloc[0]
    table.loc[(table["metric"] == "roc_auc") & (table["cell"] == first), "n_seeds"] = 1
    write_latex({**tables, "performance": table.drop(table.index[-1])}, tmp_path)
    found = rows((tmp_path / "performance.tex").read_text())
    assert [row[0].strip() for row in found].count(escape(first)) == 1
    assert found[-1][-1].strip() == r"-- \\"
