"""What a study is refused for before any job, and how Snakemake says it."""

from __future__ import annotations

import re
import shlex

import pytest
from alertgrid import locks
from alertgrid.launch import guard
from alerts import write_published
from project import Project

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      galaxies:\n", "      mine: {file: a.pt}\n      galaxies:\n", "pretraining.mine"),
        ("    models:\n", "    entrants: {a: {hub: x/y, revision: main}}\n    models:\n", "'main' does not match"),
        ("    models:\n", "    entrants: {a: {folder: not_there}}\n    models:\n", "not_there does not exist"),
        ("fractions:", "fraction:", "studies.toy.grid.fraction: unknown key"),
        ("pretraining: galaxies}", "pretraining: galaxie}", "did you mean 'galaxies'?"),
        (
            "fusion: {epochs: 3}",
            "fusoin: {epochs: 3}",
            "training.overrides.fusoin: 'fusoin' is no known word of a cell",
        ),
        ("channels: [8, 8]", "channels: [8]", "studies.toy.models.cnn.channels: [8] is too short"),
        ("test_convnext]", "test_convnect]", "near: test_convnext"),
        ("learning_rate: 0.001", "learning_rate: fast", "training.learning_rate: 'fast' is not of type 'number'"),
    ],
)
def test_a_mistake_in_the_config_stops_before_any_job(fresh, old, new, said):
    fresh.edit("config.yaml", old, new)
    result = fresh.snakemake(seconds=60)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr
    assert not (fresh.folder / "results").exists()


@pytest.mark.parametrize(
    ("folder", "said"),
    [("$NOT_THERE_AT_ALL", "NOT_THERE_AT_ALL is not set"), ("/nowhere", "/nowhere does not exist")],
)
def test_a_folder_that_is_not_there_stops_before_any_job(fresh, folder, said):
    use_folder(fresh, folder)
    result = fresh.snakemake(seconds=60)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr


def test_an_unknown_study_is_named(fresh):
    result = fresh.snakemake("--config", "study=tyo", seconds=30)
    assert "did you mean 'toy'?" in result.stdout + result.stderr


def test_a_study_with_a_space_in_its_name_is_refused(fresh):
    fresh.edit("config.yaml", "  toy:\n    about", "  to y:\n    about")
    result = fresh.snakemake("-n", "--config", "study=to y", seconds=60)
    assert "'to y' cannot name a folder" in result.stdout + result.stderr


def test_a_clone_may_lie_below_a_folder_with_a_space(tmp_path):
    project = Project(tmp_path / "with space" / "it's")
    planned = project.snakemake("-n", "-p", "results/toy/report/checked.txt", seconds=120)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    [command] = [line.strip() for line in planned.stdout.splitlines() if "-m pytest" in line]
    files = [word for word in shlex.split(command) if word.endswith(".py")]
    assert files == [str(project.folder / "tests/results/test_results.py")]


def use_folder(project, folder) -> None:
    """Let the toy study read alerts in the published format."""
    text = (project.folder / "config.yaml").read_text()
    start, end = text.index("      source: simulation"), text.index("    grid:\n      architectures")
    settings = f"      source: btsbot\n      dtype: float16\n      folder: {folder}\n"
    (project.folder / "config.yaml").write_text(text[:start] + settings + text[end:])


def test_broken_data_stop_the_study_with_file_and_row_before_anything_is_trained(fresh, tmp_path):
    write_published(tmp_path / "alerts", labels={7: 3})
    use_folder(fresh, tmp_path / "alerts")
    result = fresh.snakemake("results/toy/catalogue.h5", seconds=60)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert re.search(r"train_cand\.csv.*row 7.*label.*3", said, re.S), said
    assert not (fresh.folder / "results/toy/dataset.h5").exists()
    assert not (fresh.folder / "results/toy/runs").exists()


def test_scores_of_others_that_are_words_stop_the_study_before_anything_is_trained(fresh, tmp_path):
    write_published(tmp_path / "alerts")
    use_folder(fresh, f"{tmp_path / 'alerts'}\n      keep_columns: [isdiffpos, sky]")
    fresh.edit("config.yaml", "report: {}", "report: {external: [isdiffpos]}")
    result = fresh.snakemake("results/toy/catalogue.h5", seconds=90)
    assert result.returncode != 0
    assert re.search(r"report\.external: isdiffpos of candid \d+ is 't'", result.stdout + result.stderr)
    assert not (fresh.folder / "results/toy/catalogue.h5").exists()
    fresh.edit("config.yaml", "external: [isdiffpos]", "external: [sky]")
    result = fresh.snakemake("results/toy/catalogue.h5", seconds=90)
    assert result.returncode == 0, result.stdout + result.stderr
    fresh.edit("config.yaml", "external: [sky]", "external: []")
    assert fresh.planned("--", "results/toy/catalogue.h5") == {}


def test_a_second_controller_and_a_study_above_its_budget_do_not_start(fresh):
    fresh.edit("config.yaml", "expect_signal: false", "expect_signal: false\n  budget: {disk_gb: 1.0e-9}")
    with locks.hold(fresh.folder / "results/toy" / guard.LOCK, "study toy"):
        for options in (("--unlock",), ("--config", "partial=true", "--", "results/toy/grid.csv")):
            second = fresh.snakemake(*options)
            assert second.returncode != 0
            assert "study toy is already under way" in second.stderr
        assert fresh.planned("--", "results/toy/grid.csv") == {"write_grid": 1}
    dear = fresh.snakemake("results/toy/grid.csv")
    assert dear.returncode != 0
    assert "studies.toy.budget.disk_gb: the plan comes to" in dear.stderr
    assert not (fresh.folder / "results/toy/grid.csv").exists()
