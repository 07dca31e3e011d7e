"""`plan` on whole studies: every study of config.yaml can be planned, budgets refuse."""

import argparse

import pandas as pd
import pytest
import yaml
from alertgrid.errors import StudyError
from alertgrid.files import write_json
from alertgrid.grid import expand_grid
from alertgrid.plan import command
from alertgrid.plan.work import training_grid, work_of
from test_plan_work import ALERTS, ROOT, settings_of


def options(tmp_path, *words):
    """Parsed options, results in a temporary folder."""
    parser = argparse.ArgumentParser()
    command.add_plan_arguments(parser)
    return parser.parse_args(["--config", str(ROOT / "config.yaml"), "--results", str(tmp_path), *words])


@pytest.mark.parametrize("study", sorted(yaml.safe_load((ROOT / "config.yaml").read_text())["studies"]))
@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_every_study_can_be_planned(tmp_path, capsys, study, profile):
    words = ("--study", study, "--profile", str(ROOT / "profiles" / profile), "--alerts", "1000")
    assert command.run_plan(options(tmp_path, *words)) == 0
    text = capsys.readouterr().out
    settings = settings_of(study)
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    assert f"{grid['cell'].nunique()} cells, {len(grid)} runs, 0 of them done" in text
    listed = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert set(grid["cell"]) | set("timing/" + grid["architecture"] + "-" + grid["inputs"]) <= set(listed)


def test_the_full_study_can_be_planned_before_its_data_are_there(tmp_path, capsys):
    profile = str(ROOT / "profiles" / "slurm")
    assert command.run_plan(options(tmp_path, "--study", "btsbot", "--profile", profile)) == 0
    assert "Study btsbot, 850000 alerts" in capsys.readouterr().out


def test_an_undefined_pretraining_is_refused(tmp_path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["studies"]["demo"]["pretraining"]["galaxies"]["start"] = "nowhere"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(StudyError, match=r"pretraining\.galaxies\.start"):
        command.run_plan(options(tmp_path, "--config", str(tmp_path / "config.yaml"), "--study", "demo"))


def test_a_budget_in_the_settings_is_obeyed(tmp_path, monkeypatch):
    resolve = command.resolve_study
    monkeypatch.setattr(command, "resolve_study", lambda *given: resolve(*given) | {"budget": {"gpu_hours": 0.001}})
    with pytest.raises(StudyError, match=r"studies\.demo\.budget\.gpu_hours"):
        command.run_plan(options(tmp_path, "--study", "demo", "--device", "cuda"))


def start(tmp_path, study="demo", slurm=True, asked=("gres",), **budget):
    """What Snakemake does at a real start."""
    settings = settings_of(study) | {"budget": budget}
    command.check_start(settings, tmp_path, slurm=slurm, at_once=50, asked=asked, where=f"studies.{study}")


def test_a_start_above_the_budget_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"(?s)studies\.demo\.budget\.gpu_hours.*at most 0\.001.*raise this key"):
        start(tmp_path, gpu_hours=0.001)
    start(tmp_path, gpu_hours=1000)
    start(tmp_path, asked=("mem_mb",), gpu_hours=0)  # trainings that ask for no GPU use no GPU-hours


def test_a_start_without_a_budget_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "count_alerts", None)
    start(tmp_path)
    start(tmp_path, alerts=5)


def test_a_study_that_is_finished_with_its_encoders_and_timings_is_never_refused(tmp_path):
    settings = settings_of("demo")
    record = {"wall_seconds": 7200.0, "device": "cuda:0"}
    grid = training_grid(settings)
    for run in grid["run"]:
        write_json(tmp_path / "demo/runs" / run / "run.json", record)
    for name in (grid["architecture"] + "-" + grid["inputs"]).unique():
        (tmp_path / "demo/timing").mkdir(exist_ok=True)
        pd.DataFrame({"architecture": [name]}).to_csv(tmp_path / f"demo/timing/{name}.csv")
    with pytest.raises(StudyError, match=r"budget\.gpu_hours"):  # two encoders are to come
        start(tmp_path / "demo", gpu_hours=1)
    for name in ("convnext_pico", "maxvit_tiny"):
        write_json(tmp_path / f"demo/encoders/{name}-galaxies/manifest.json", record)
    start(tmp_path / "demo", gpu_hours=1)
    plan = command.plan_study(settings, tmp_path / "demo", ALERTS, "cuda", "slurm", 50)
    assert plan.gpu_hours == pytest.approx(2 * 52, abs=0.1)


def test_the_full_study_needs_at_most_60_jobs_with_a_gpu():
    settings = settings_of("btsbot")
    runs = training_grid(settings)
    assert len(runs) == 400
    assert runs["pack"].nunique() == 51
    assert work_of(settings, ALERTS)["job"].nunique() == 58
    # No job trains more than two networks with all objects (four, if they take minutes), nor two that take hours.
    trained = runs[runs["inputs"] == "image"].groupby(["architecture", "pack"])["fraction"].sum()
    assert trained.groupby("architecture").max().to_dict() == {"btsbot_cnn": 4, "convnext_pico": 2, "maxvit_tiny": 1}


def test_the_difference_image_is_left_out_of_the_custom_cnn_alone():
    for study in ("ztf", "btsbot"):
        grid = training_grid(settings_of(study))
        blind = set(grid["cell"][grid["stamps"] == "science_template"])
        assert blind == {"btsbot_cnn-none-image-science_template"}
        assert set(grid.query("stamps == 'science_template'")["fraction"]) == set(grid["fraction"])


@pytest.mark.parametrize(("study", "jobs", "alone"), [("demo", 21, 9), ("ztf", 25, 12)])
def test_a_laptop_trains_long_runs_alone_and_short_ones_together(study, jobs, alone):
    packs = training_grid(settings_of(study)).groupby("pack")
    sizes = packs.size()
    assert len(sizes) == jobs
    assert sizes["train_metadata_net-none-metadata_0"] == 6
    assert sizes["train_metadata_net-none-metadata-permuted_0"] == 8
    whole = packs["fraction"].max()[lambda most: most == 1].index
    images = [pack for pack in whole if "-image" in pack]
    assert len(images) == alone
    assert sizes[images].eq(1).all()
