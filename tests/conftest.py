"""Small data that every ring of tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from alertgrid.sources import Chunk
from alerts import make_chunk

# Children of the tests (submitit, Snakemake) find the package as the Snakefile lets them find it.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "workflow")


@pytest.fixture
def chunk() -> Chunk:
    return make_chunk()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data, or a skip that says why."""
    folder = os.environ.get("ALERTGRID_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("the environment variable ALERTGRID_DATA does not name the folder of the real data")
    return Path(folder)
