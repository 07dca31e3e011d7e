"""What is this model, and can the study be repeated? A model card per cell and a filled-in checklist, from the tables.

The cards follow Mitchell et al. 2019 (Model Cards for Model Reporting), the checklist follows Pineau et al. 2020 (arXiv
2003.12206). The texts lie in workflow/report/; nothing is filled in that the records do not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..figures import read_tables
from ..figures.words import fraction_label, metric_title, parse_cell
from ..files import write_text
from ..page.provenance import provenance
from ..page.views import interval, number, significant
from ..timing.results import is_subject
from .checklist import Answer, answers

TEMPLATES = Path(__file__).resolve().parents[2] / "report"
_SKIPPED = ("metrics", "history")


def _environment(templates: str | Path) -> Environment:
    """Markdown templates: nothing is escaped, an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(templates), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def write_cards(
    tables: str | Path,
    output: str | Path,
    *,
    study: str,
    data: str = "",
    licence: str = "",
    templates: str | Path = TEMPLATES,
) -> list[Path]:
    """Write a model card for every cell that has a run.

    Parameters
    ----------
    tables : path
        Folder of the report's CSV tables; runs.csv decides which cells get a card.
    output : path
        Folder for `{cell}.md`.
    study : str
        Name of the study.
    data, licence : str
        Description of the data and licence of the weights, printed as given; "not stated" where empty.
    templates : path
        Folder of card.md.j2.

    Returns
    -------
    list of Path
        The cards, in the order of runs.csv.
    """
    frames = read_tables(tables, skip=_SKIPPED)
    runs = frames.get("runs")
    if runs is None or runs.empty:
        return []
    template = _environment(templates).get_template("card.md.j2")
    said = {"study": study, "data": data or "not stated", "licence": licence or "not stated"}
    written = []
    for cell, records in runs.groupby("cell", sort=False):
        written.append(Path(output) / f"{cell}.md")
        write_text(written[-1], template.render(said | _content(frames, cell, records)))
    return written


def _content(frames: Mapping[str, pd.DataFrame], cell: str, records: pd.DataFrame) -> dict[str, Any]:
    """What the tables know of a cell, and the ways of printing numbers, by the names of the template."""
    return {
        "cell": cell,
        "axes": _axes(records.iloc[0], cell),
        "records": records.to_dict("records"),
        "settings": _settings(records),
        "performance": _performance(frames.get("performance"), cell),
        "policies": _policies(frames.get("policies"), cell),
        "timing": _timing(frames.get("timing"), cell),
        "provenance": provenance(records),
        "number": number,
        "significant": significant,
        "interval": interval,
        "fraction_label": fraction_label,
    }


def _axes(record: pd.Series, cell: str) -> dict[str, str]:
    """The cell's place in the grid: what the record says, else what the name says."""
    return {name: str(record.get(name, value)) for name, value in parse_cell(cell).items()}


def _settings(records: pd.DataFrame) -> dict[str, str]:
    """Resolved settings of the runs; where they differ, all values."""
    names = [column for column in records if column.startswith("settings.")]
    values = {name.removeprefix("settings."): records[name].dropna().unique() for name in names}
    return {name: ", ".join(map(str, found)) for name, found in values.items() if len(found)}


def _of_cell(frame: pd.DataFrame | None, cell: str) -> pd.DataFrame:
    """Rows of a cell; none where the table is missing."""
    return frame[frame["cell"] == cell] if frame is not None and "cell" in frame else pd.DataFrame()


def _performance(frame: pd.DataFrame | None, cell: str) -> list[dict[str, Any]]:
    """One entry per fraction: its sample and every metric with its interval."""
    rows = _of_cell(frame, cell)
    result = []
    for fraction, part in reversed(list(rows.groupby("fraction"))) if len(rows) else []:
        values = {
            metric_title(row["metric"]): interval(row["estimate"], row["low"], row["high"])
            for row in part.to_dict("records")
        }
        first = part.iloc[0]
        result.append({"fraction": fraction, "values": values, **first[["n_seeds", "n_sources", "n_alerts"]]})
        result[-1] |= {"level": first.get("level"), "method": first.get("method", "")}
    return result


def _policies(frame: pd.DataFrame | None, cell: str) -> list[dict[str, str]]:
    """Completeness and purity per policy over all magnitudes at the largest fraction."""
    rows = _of_cell(frame, cell)
    if rows.empty:
        return []
    rows = rows[(rows["stratum"] == "all") & (rows["fraction"] == rows["fraction"].max())]
    return [
        {
            "policy": row["policy"],
            "metric": metric_title(row["metric"]),
            "value": interval(row["estimate"], row["low"], row["high"]),
        }
        for row in rows.to_dict("records")
    ]


def _timing(frame: pd.DataFrame | None, cell: str) -> list[dict[str, Any]]:
    """Rows of the timing table for this network, at one alert and at the fastest batch of each device and way."""
    if frame is None or frame.empty:
        return []
    axes = parse_cell(cell)
    rows = frame[is_subject(frame) & (frame["job"] == f"{axes['architecture']}-{axes['inputs']}")]
    best = rows.groupby(["device", "precision", "mode"], sort=False)["throughput"].idxmax().dropna()
    return rows[(rows["batch"] == 1) | rows.index.isin(best)].to_dict("records")


def write_checklist(
    tables: str | Path,
    output: str | Path,
    *,
    study: str,
    facts: Mapping[str, str] | None = None,
    templates: str | Path = TEMPLATES,
) -> list[Answer]:
    """Write the reproducibility checklist of a study.

    Parameters
    ----------
    tables : path
        Folder of the report's CSV tables.
    output : path
        Markdown file.
    study : str
        Name of the study.
    facts : mapping of str to str
        What no record can know: "code", "data", "licence", "dependencies", "commands"; printed as given.
    templates : path
        Folder of checklist.md.j2.

    Returns
    -------
    list of Answer
        Question, answer ("yes", "in part", "not recorded") and evidence.
    """
    found = answers(read_tables(tables, skip=_SKIPPED[1:]), facts or {})
    write_text(output, _environment(templates).get_template("checklist.md.j2").render(study=study, answers=found))
    return found
