"""Stand-ins that several files of tests use: Slurm's commands, the hub; and the way of submitit's children."""

import os
from pathlib import Path

import pytest
from hub_stand_in import fake_hub  # noqa: F401
from slurm_stand_in import slurm  # noqa: F401

HERE = Path(__file__).resolve().parent


@pytest.fixture
def child_path(monkeypatch):
    """submitit's child processes find the package and the modules of tests by PYTHONPATH only."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parents[1] / "workflow"), str(HERE)]))
