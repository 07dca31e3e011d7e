"""The toy study, run once for all tests of the workflow."""

from __future__ import annotations

import pytest
from project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The toy study, run once to its end."""
    project = Project(tmp_path_factory.mktemp("toy") / "project")
    result = project.snakemake()
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return project


@pytest.fixture
def fresh(tmp_path) -> Project:
    """The toy study, not yet run."""
    return Project(tmp_path / "project")
