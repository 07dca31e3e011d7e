"""`python -m alertgrid export RUN FILE.onnx`: a finished run as one file, checked before it is kept."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the export."""
    parser.add_argument(
        "run", type=Path, help="folder of a finished run: results/{study}/runs/{cell}/f{fraction}/s{seed}"
    )
    parser.add_argument("output", type=Path, help="the file to write, ending in .onnx")
    parser.add_argument("--dataset", type=Path, help="dataset.h5 for the check; the study's own by default")
    parser.add_argument("--rows", type=int, default=64, help="alerts of the check")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest difference, relative to max(1, |logit|)")


def run_export(options: argparse.Namespace) -> int:
    """Export, and say how the check went."""
    from . import export_run

    found = export_run(
        options.run, options.output, dataset=options.dataset, rows=options.rows, tolerance=options.tolerance
    )
    origin = "alerts of the dataset" if found.origin == "dataset" else "rows of random numbers (no dataset at hand)"
    print(f"{options.output}: onnxruntime agrees with torch on {found.rows} {origin}, largest difference of a logit")
    print(
        f"{found.difference:.2g} (tolerance {found.tolerance:g}, relative to max(1, |logit|)), where logits span",
        end=" ",
    )
    print(f"{found.spread:.3g}")
    if found.stored_difference is not None:
        print(f"largest difference from the run's own predictions: {found.stored_difference:.2g}")
    return 0
