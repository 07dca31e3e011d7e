"""Folders that a reader is given, and the files in them."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StudyError


def files_below(folder: str | Path, ending: str) -> list[Path]:
    """Files of a folder and its sub-folders whose names end so, by name; links are followed, each folder read once."""
    seen, found = set(), []
    for place, folders, names in os.walk(Path(folder), followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link in a circle, or a second one to the same folder
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(place, name) for name in names if name.endswith(ending)]
    return sorted(path for path in found if path.is_file())


def check_folder(folder: str | Path) -> None:
    """Refuse a folder that is not there or cannot be listed.

    Raises
    ------
    StudyError
        Names the folder.
    """
    remedy = "correct data.folder (an absolute path, or one relative to where the study is started)"
    if not Path(folder).is_dir():
        raise StudyError(f"data.folder, {folder}", "there is no such folder", "the folder of the alerts", remedy)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise StudyError(
            f"data.folder, {folder}", "the folder cannot be read", "permission to list and open it", remedy
        )
