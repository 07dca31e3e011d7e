"""How drawings become files: PDF, PNG and captions.json, with the reason for every figure that was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..files import write_json, write_text
from .style import Drawing, Skip, save

KEYS = ("figures", "skipped")
Plan = tuple[str, str, Callable[[], Iterable[Drawing]]]


def write_drawings(output: str | Path, plans: Iterable[Plan]) -> dict:
    """Draw and write figures one by one.

    Parameters
    ----------
    output : path
        Folder for `<name>.pdf`, `<name>.png`, the caption as `<name>.rst`, and captions.json with all of them; figures
        that are drawn for one column too lie in `column/`.
    plans : iterable of (section, name, function)
        Each function yields drawings; where it raises `Skip`, `name` is listed with the reason.

    Returns
    -------
    dict
        {"figures": {name: {section, title, caption, width_in, files, column}}, "skipped": {name: reason}}.
    """
    return write_captions(output, [write_plan(output, plan) for plan in plans])


def write_plan(output: str | Path, plan: Plan) -> dict:
    """Draw and write the figures of one plan; what `write_drawings` returns, of these figures."""
    section, name, draw = plan
    captions: dict = {key: {} for key in KEYS}
    try:
        for drawing in draw():
            captions["figures"][drawing.name] = _entry(section, drawing, Path(output))
            write_text(Path(output) / f"{drawing.name}.rst", escape(drawing.caption) + "\n")
    except Skip as reason:
        captions["skipped"][name] = str(reason)
    return captions


def write_captions(output: str | Path, parts: Sequence[dict]) -> dict:
    """Join what was said of the figures and write captions.json."""
    joined: dict = {key: {name: said for part in parts for name, said in part[key].items()} for key in KEYS}
    write_json(Path(output) / "captions.json", joined)
    return joined


def _entry(section: str, drawing: Drawing, output: Path) -> dict:
    """Write the files of one figure; what the page needs to know of it."""
    entry = {
        "section": section,
        "title": drawing.title,
        "caption": drawing.caption,
        "width_in": float(drawing.figure.get_figwidth()),
        "files": save(drawing.figure, drawing.name, output),
    }
    if drawing.column is not None:
        names = save(drawing.column, drawing.name, output / "column")
        entry["column"] = [f"column/{name}" for name in names]
    return entry


def escape(text: str) -> str:
    """Text that reStructuredText prints as it is; Snakemake's own report takes captions in that form."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)
