"""What is finished, and what did it cost? Read from the records of a study's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import read_json
from ..tuning.searches import read_searches

# Folders of the records of runs below a study's folder, and the record's place in the folder of a run; what the trainer
# kept of a failed job counts too.
RUNS = (("checkpoints", "finished/run.json"), ("runs", "run.json"))


def read_records(folder: str | Path) -> dict[str, Mapping[str, Any]]:
    """Task -> its record, for all that is finished in a study's folder `results/{study}`.

    A record holds `wall_seconds`, `device` and `devices`; it is empty where nobody noted the time.
    """
    folder = Path(folder)
    found: dict[str, Mapping[str, Any]] = {}
    for root, place in RUNS:
        for path in sorted((folder / root).glob(f"*/f*/s*/{place}")):
            found["/".join(path.relative_to(folder / root).parts[:3])] = read_json(path)
    for root, name in (("encoders", "manifest.json"), ("entrants", "run.json")):
        found |= {f"{root}/{path.parent.name}": read_json(path) for path in sorted((folder / root).glob(f"*/{name}"))}
    found |= {f"timing/{path.stem}": {} for path in (folder / "timing").glob("*.csv")}
    for search in read_searches(folder):
        found |= {f"tuning/{search.cell}/t{number}": record for number, record in enumerate(search.settled)}
    return found
