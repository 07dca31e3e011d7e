"""Runs that share a job, end to end: one fails, a report without it, the rest of the work, a new seed."""

from __future__ import annotations

import pandas as pd
import pytest
from alertgrid.files import read_json
from alertgrid.locks import hold
from alertgrid.status import study_status
from project import Project

pytestmark = pytest.mark.slow

IMAGE, FUSION, METADATA = "btsbot_cnn-none-image", "btsbot_cnn-none-fusion", "metadata_net-none-metadata"
FAILING = f"{IMAGE}/f1/s1"
LAST = f"results/toy/runs/{FUSION}/f1/s1/run.json"


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Project:
    """The toy study with one network, two runs a job, and a run that fails: somebody else holds its lock."""
    project = Project(tmp_path_factory.mktemp("packed") / "project")
    project.edit("config.yaml", "    grid:\n      arch", "    packing: 2\n    grid:\n      arch")
    project.edit("config.yaml", "[btsbot_cnn, test_convnext]", "[btsbot_cnn]")
    project.edit("config.yaml", "pretraining: [none, galaxies]", "pretraining: [none]")
    project.edit("config.yaml", "      exclude:\n        - {architecture: btsbot_cnn, pretraining: galaxies}\n", "")
    return project


@pytest.fixture(scope="module")
def failed(packed) -> Project:
    """The study after a start in which that run failed."""
    with hold(packed.folder / "results/toy/checkpoints" / FAILING / "lock.json", "training by somebody else"):
        result = packed.snakemake("--retries", "0", "--", "results/toy/grid.csv", LAST)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert f"error: {FAILING}: " in said
    assert "already under way" in said
    return packed


def log_of(project, job) -> str:
    return (project.folder / f"results/toy/logs/train/{job}.log").read_text()


def asked_by(project, job, *options) -> str:
    """What a dry run says of a job."""
    result = project.snakemake("-n", *options)
    return (result.stdout + result.stderr).split(f"rule {job}:")[1].split("\nrule ")[0]


@pytest.mark.parametrize("job", [f"train_{IMAGE}_0", f"fuse_{FUSION}_0"])
def test_a_job_asks_for_what_the_profile_gives_trainings(packed, job):
    asked = asked_by(packed, job)
    assert "gpu=1" in asked
    assert "mem_mb=3000" in asked


def test_options_for_trainings_reach_their_jobs_unless_a_job_has_its_own(packed):
    job = f"fuse_{FUSION}_0"
    options = ("--set-threads", "fuse=2", "--set-resources", "fuse:machine='devices=2 resident=no'", "fuse:runtime=77")
    assert "--machine devices=2 resident=no --console" in asked_by(packed, job, "-p", *options)
    assert "threads: 2" in asked_by(packed, job, *options)
    assert "runtime=77" in asked_by(packed, job, *options)
    assert "runtime=66" in asked_by(packed, job, *options, f"{job}:runtime=66")


def test_linting_packs_and_the_partial_report_is_silent(packed):
    for options in ((), ("--config", "partial=true")):
        result = packed.snakemake("--lint", *options)
        assert "your workflow is in a good condition" in result.stdout + result.stderr


def test_after_a_failure_the_others_are_kept_and_reported(failed):
    study = failed.folder / "results/toy"
    assert not (study / "runs" / IMAGE / "f1/s0/run.json").exists()  # Snakemake removed it with the failed job
    states = {status.run: status.state for status in study_status(study)}
    assert states == {
        f"{IMAGE}/f1/s0": "done",
        FAILING: "failed",
        f"{METADATA}/f1/s0": "done",
        f"{METADATA}/f1/s1": "done",
        f"{FUSION}/f1/s0": "waiting",
        f"{FUSION}/f1/s1": "waiting",
    }
    planned = failed.planned("--config", "partial=true", "--", "report")
    assert planned.pop("restore") == 1
    assert not [job for job in planned if job.startswith(("train", "fuse", "pretrain"))]
    result = failed.snakemake("--config", "partial=true", "--", "report")
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    tables = study / "report/tables"
    assert set(pd.read_csv(tables / "runs.csv")["run"]) == {run for run, state in states.items() if state == "done"}
    missing = pd.read_csv(tables / "missing.csv").set_index("run")
    assert {FAILING, f"{FUSION}/f1/s0", f"{FUSION}/f1/s1"} <= set(missing.index)
    assert missing.loc[FAILING, "reason"].startswith("failed")
    assert (failed.folder / missing.loc[FAILING, "log"]).is_file()
    assert "missing" in (study / "report/index.html").read_text().lower()


def test_the_next_start_trains_what_is_missing_and_a_third_has_nothing_to_do(failed):
    study = failed.folder / "results/toy"
    kept = (study / "checkpoints" / IMAGE / "f1/s0/finished/run.json").read_bytes()
    result = failed.snakemake()
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert "passed" in (study / "report/checked.txt").read_text()
    assert log_of(failed, f"train_{IMAGE}_0").startswith(f"kept: {IMAGE} fraction 1 seed 0")
    assert f"{IMAGE} f1 s0: epoch" not in log_of(failed, f"train_{IMAGE}_0")
    assert f"{IMAGE} f1 s1: epoch 2/2" in log_of(failed, f"train_{IMAGE}_0")
    assert (study / "runs" / IMAGE / "f1/s0/run.json").read_bytes() == kept
    assert failed.planned() == {}


def test_a_new_seed_trains_only_its_own_runs(failed):
    failed.edit("config.yaml", "seeds: [0, 1]", "seeds: [0, 1, 2]")
    failed.edit("config.yaml", "packing: 2", "packing: 3")
    result = failed.snakemake("--", LAST.replace("s1", "s2"))
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    for job, cell in ((f"train_{IMAGE}_0", IMAGE), (f"train_{METADATA}_0", METADATA), (f"fuse_{FUSION}_0", FUSION)):
        log = log_of(failed, job)
        assert [f"kept: {cell} fraction 1 seed {seed}" in log for seed in range(3)] == [True, True, False]
        assert [f"{cell} f1 s{seed}: epoch" in log for seed in range(3)] == [False, False, True]
    assert {status.state for status in study_status(failed.folder / "results/toy")} == {"done"}
    assert read_json(failed.folder / LAST)["resumed"] == 0
