"""The toy study, run once for all tests of the workflow."""

from __future__ import annotations

import pytest
from project import Project
from published_models import CNN, fusion, put, upstream


def enter_published(project: Project) -> None:
    """Let a stand-in of a published model take part in the toy study."""
    put(project.folder / "published", fusion(CNN), upstream(fusion(CNN)))
    project.edit(
        "config.yaml",
        "    models:\n      cnn:",
        "    entrants: {published: {folder: published}}\n    models:\n      cnn:",
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The toy study, run once to its end, below a folder whose name a shell would part."""
    project = Project(tmp_path_factory.mktemp("toy") / "it's a project")
    enter_published(project)
    result = project.snakemake()
    project.said = result.stdout + result.stderr
    assert result.returncode == 0, project.said[-6000:]
    return project


@pytest.fixture
def fresh(tmp_path) -> Project:
    """The toy study, not yet run."""
    return Project(tmp_path / "project")
