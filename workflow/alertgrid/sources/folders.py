"""Folders that a reader is given."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StudyError


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
