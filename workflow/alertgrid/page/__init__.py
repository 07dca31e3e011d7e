"""Tables and figures -> one HTML file that needs nothing else: opens from file://, without network.

The template, its style sheet and the table sorter lie in workflow/report/; everything is inlined, images as data URIs.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..columns import SPLITS
from ..figures import read_tables
from ..figures.words import PRIMARY
from ..files import read_json, write_text
from . import absent, provenance, sections

TEMPLATES = Path(__file__).resolve().parents[2] / "report"
_INLINED = {"css": "page.css", "sorter": "vendor/sortable.min.js", "keyboard": "vendor/sortable.a11y.min.js"}


@dataclass(frozen=True)
class Picture:
    """One figure as the template needs it."""

    name: str
    title: str
    caption: str
    data: str
    width: int
    pdf: str
    column_data: str = ""
    column_pdf: str = ""


def write_page(
    output: str | Path,
    *,
    study: str,
    tables: str | Path,
    figures: Sequence[str | Path],
    metrics: Sequence[str] = PRIMARY,
    description: str = "",
    facts: Mapping[str, Mapping[str, str]] | None = None,
    templates: str | Path = TEMPLATES,
) -> Path:
    """Write the report as one self-contained HTML file.

    Parameters
    ----------
    output : path
        index.html.
    study : str
        Name of the study.
    tables : path
        Folder of the report's CSV tables; missing ones are said to be missing.
    figures : sequence of paths
        Folders written by `alertgrid.figures`, each with its captions.json.
    metrics : sequence of str
        Metrics of the headline; the first orders the cells.
    description : str
        One or two sentences on the study, printed below the title.
    facts : mapping of mappings
        More provenance: heading -> {name: value}, beside what the run records say.
    templates : path
        Folder of the templates, page.css and vendor/.

    Returns
    -------
    Path
        `output`.
    """
    output, frames = Path(output), read_tables(tables, skip=("metrics", "history", "calibration"))
    pictures, skipped = load_pictures(figures, output.parent)
    said = {"title": study, "study": study, "description": description, "pictures": pictures, "skipped": skipped}
    said["provenance"] = provenance.merge(provenance.provenance(frames.get("runs")), facts or {})
    said["csv"] = _links(tables, output.parent)
    write_text(output, render("page.html.j2", said | _content(frames, metrics), templates))
    return output


def render(template: str, values: Mapping[str, Any], templates: str | Path = TEMPLATES) -> str:
    """HTML of one template with style sheet and scripts inlined; text is escaped, an unknown name is an error."""
    options = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    assets = {key: (Path(templates) / name).read_text(encoding="utf-8") for key, name in _INLINED.items()}
    return Environment(loader=FileSystemLoader(templates), **options).get_template(template).render(assets | {**values})


def _content(frames: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> dict[str, Any]:
    """What the tables say, by the names of the template."""
    return {
        "summary": _summary(frames),
        "headline": sections.headline(frames, metrics),
        "statements": sections.statements(frames),
        "claims": sections.claims(frames),
        "missing": absent.missing(frames),
        "n_lost": len(absent.lost(frames, ("run",))),
        "unread": absent.unread(frames),
        "sections": sections.sections(frames, metrics),
    }


def load_pictures(folders: Sequence[str | Path], base: Path) -> tuple[dict[str, list[Picture]], dict[str, str]]:
    """Figures by section, and those left out with the reason."""
    found: dict[str, list[Picture]] = {}
    skipped: dict[str, str] = {}
    for folder in map(Path, folders):
        if not (folder / "captions.json").exists():
            skipped[folder.name] = "its figures were not made"
            continue
        captions = read_json(folder / "captions.json")
        skipped.update(captions["skipped"])
        for name, entry in captions["figures"].items():
            found.setdefault(entry["section"], []).append(_picture(folder, base, name, entry))
    return found, skipped


def _picture(folder: Path, base: Path, name: str, entry: Mapping[str, Any]) -> Picture:
    """Read one PNG into a data URI; its width on screen follows its width in print."""
    # 130 pixels per inch of print shows 7-point text at about 12.6 pixels.
    width = round(130 * entry["width_in"])
    files = [_data_and_link(folder, base, entry[key]) for key in ("files", "column") if key in entry]
    data, pdf = files[0]
    return Picture(name, entry["title"], entry["caption"], data, width, pdf, *(files[1] if files[1:] else ()))


def _data_and_link(folder: Path, base: Path, files: Sequence[str]) -> tuple[str, str]:
    """A figure's PNG as a data URI, and its PDF as a link."""
    named = {Path(file).suffix: folder / file for file in files}
    data = base64.b64encode(named[".png"].read_bytes()).decode("ascii")
    return f"data:image/png;base64,{data}", _relative(named[".pdf"], base)


def _relative(path: Path, base: Path) -> str:
    """Path as a link from the page."""
    return Path(os.path.relpath(path, base)).as_posix()


def _links(folder: str | Path, base: Path) -> dict[str, str]:
    """Table name -> link to its CSV."""
    return {path.stem: _relative(path, base) for path in sorted(Path(folder).glob("*.csv"))}


def _summary(frames: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """The size of the study in a few numbers."""
    runs, counts = (frames.get(name) for name in ("runs", "dataset_counts"))
    items = []
    if runs is not None and len(runs):
        items += [("cells", f"{runs['cell'].nunique():,}"), ("runs finished", f"{len(runs):,}")]
    if "missing" in frames:
        items.append(("runs failed or missing", f"{len(absent.lost(frames, ('run',))):,}"))
    if counts is not None and {"band", "split", "n_alerts", "n_sources"} <= set(counts):
        total = counts[counts["band"] == "all"].groupby("split")[["n_alerts", "n_sources"]].sum()
        total = total.reindex([split for split in SPLITS if split in total.index])
        items += [
            (f"{split} alerts (sources)", f"{row['n_alerts']:,} ({row['n_sources']:,})")
            for split, row in total.iterrows()
        ]
    return items
