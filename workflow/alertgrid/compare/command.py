"""`python -m alertgrid compare BEFORE AFTER`: two finished studies, cell by cell."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..figures.words import PRIMARY


def _threshold(text: str) -> float | str:
    """A number, or the name of the metric that chooses it on validation alerts."""
    try:
        return float(text)
    except ValueError:
        return text


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the comparison."""
    parser.add_argument("before", help="name of a study below results/, or its folder")
    parser.add_argument("after", help="the same, for the later one")
    parser.add_argument("--output", type=Path, help="folder; results/compared/{before}-{after} by default")
    parser.add_argument("--metric", action="append", help="shown in full (repeat for several); the CSV has all")
    parser.add_argument(
        "--external", action="append", help="column of both catalogues with another classifier's scores, compared too"
    )
    parser.add_argument("--threshold", type=_threshold, default=0.5, help="of both, or a metric's name")
    parser.add_argument("--level", type=float, default=0.95, help="coverage of the intervals")
    parser.add_argument("--workers", type=int, default=1, help="processes")


def study_folder(name: str) -> Path:
    """Folder of a study given by name or path."""
    return Path(name) if Path(name, "grid.csv").exists() else Path("results", name)


def run_compare(options: argparse.Namespace) -> int:
    """Compare, print the text, and say where the page is."""
    from . import Choices, write_comparison

    folders = [study_folder(name) for name in (options.before, options.after)]
    # Two studies of one name (a folder kept from before) are told apart by their paths.
    alike = folders[0].name == folders[1].name
    names = tuple(str(folder) if alike else folder.name for folder in folders)
    output = options.output or Path(
        "results", "compared", "-".join(name.strip("/").replace("/", "_") for name in names)
    )
    write_comparison(
        *folders,
        output,
        names=names,
        choices=Choices(threshold=options.threshold, level=options.level, external=options.external or ()),
        metrics=options.metric or PRIMARY,
        workers=options.workers,
    )
    print((output / "comparison.md").read_text(encoding="utf-8"))
    print(f"page: {output / 'index.html'}", flush=True)
    return 0
