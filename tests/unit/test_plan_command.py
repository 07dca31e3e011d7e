"""`plan` on whole studies: every study of config.yaml can be planned, budgets refuse."""

import argparse
from pathlib import Path

import pandas as pd
import pytest
import yaml
from alertgrid import plan_command
from alertgrid.errors import StudyError
from alertgrid.grid import expand_grid

ROOT = Path(__file__).resolve().parents[2]


def options(tmp_path, *words):
    """Parsed options, results in a temporary folder."""
    parser = argparse.ArgumentParser()
    plan_command.add_plan_arguments(parser)
    return parser.parse_args(["--config", str(ROOT / "config.yaml"), "--results", str(tmp_path), *words])


def settings_of(study):
    """Resolved settings of a study of config.yaml."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"study": study}
    return plan_command.resolve_study(config, yaml.safe_load(plan_command.SCHEMA.read_text()))


@pytest.mark.parametrize("study", sorted(yaml.safe_load((ROOT / "config.yaml").read_text())["studies"]))
@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_every_study_can_be_planned(tmp_path, capsys, study, profile):
    words = ("--study", study, "--profile", str(ROOT / "profiles" / profile), "--alerts", "1000")
    assert plan_command.run_plan(options(tmp_path, *words)) == 0
    text = capsys.readouterr().out
    settings = settings_of(study)
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    assert f"{len(grid) + len(plan_command.pretrainings(settings))} runs, 0 of them done" in text


def test_a_simulated_study_knows_its_number_of_alerts(tmp_path):
    settings = settings_of("demo")
    data = settings["data"]
    counts = plan_command.count_alerts(settings, tmp_path / "demo")
    most = sum(data[name] for name in plan_command.SOURCE_SETS) * data["alerts_per_source"]
    assert abs(sum(counts.values()) - most) <= 2


def test_other_studies_must_say_it_or_have_a_catalogue(tmp_path, monkeypatch):
    settings = settings_of("demo") | {"data": {"source": "btsbot"}}
    with pytest.raises(StudyError, match="number of alerts is not known"):
        plan_command.count_alerts(settings, tmp_path)
    (tmp_path / "catalogue.h5").touch()
    catalogue = pd.DataFrame({"split": ["train"] * 5 + ["val"]})
    monkeypatch.setattr(plan_command, "read_catalogue", lambda path, only: catalogue)
    assert plan_command.count_alerts(settings, tmp_path) == {"train": 5, "val": 1, "test": 0}


def test_epochs_follow_the_overrides():
    settings = settings_of("demo")
    overrides = {"metadata": {"epochs": 77}, "convnext_pico-image": {"epochs": 5}}
    settings["training"] = {**settings["training"], "epochs": 9, "overrides": overrides}
    runs = plan_command.training_runs(settings).set_index("run")["epochs"]
    assert runs[runs.index.str.startswith("metadata_net")].eq(77).all()
    assert runs[runs.index.str.startswith("convnext_pico-none-image/")].eq(5).all()
    assert runs[runs.index.str.startswith("btsbot_cnn-none-image/")].eq(9).all()


def test_pretrainings_are_counted_with_their_own_epochs():
    settings = settings_of("demo")
    settings["grid"] = settings["grid"] | {
        "architectures": ["btsbot_cnn", "convnext_pico"],
        "pretraining": ["none", "own"],
    }
    settings["grid"]["exclude"] = [{"architecture": "btsbot_cnn", "pretraining": "own"}]
    settings["models"] = {"architectures": {"convnext_pico": {"input_size": 126}}}
    settings["pretraining"] = {
        "own": {"corpus": {"count": 500}, "training": {"epochs": 3}},
        "hub": {"hub": "imagenet"},
        "unused": {"corpus": {"count": 500}},
    }
    (row,) = plan_command.pretrainings(settings)
    assert (row["run"], row["architecture"], row["epochs"], row["images"]) == (
        "encoders/convnext_pico-own",
        "convnext_pico@126",
        3,
        500,
    )


def test_a_budget_in_the_settings_is_obeyed(tmp_path, monkeypatch):
    resolve = plan_command.resolve_study
    monkeypatch.setattr(
        plan_command, "resolve_study", lambda *given: resolve(*given) | {"budget": {"gpu_hours": 0.001}}
    )
    with pytest.raises(StudyError, match=r"studies\.demo\.budget\.gpu_hours"):
        plan_command.run_plan(options(tmp_path, "--study", "demo", "--device", "cuda"))


def start(tmp_path, study="demo", slurm=True, asked=("gres",), **budget):
    """What Snakemake does at a real start."""
    settings = settings_of(study) | {"budget": budget}
    plan_command.check_start(settings, tmp_path, slurm=slurm, at_once=50, asked=asked, where=f"studies.{study}")


def test_a_start_above_the_budget_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"(?s)studies\.demo\.budget\.gpu_hours.*at most 0\.001.*raise this key"):
        start(tmp_path, gpu_hours=0.001)
    start(tmp_path, gpu_hours=1000)
    start(tmp_path, asked=("mem_mb",), gpu_hours=0)  # trainings that ask for no GPU use no GPU-hours


def test_a_start_without_a_budget_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_command, "count_alerts", None)
    start(tmp_path)
    start(tmp_path, alerts=5)


def test_a_budget_says_how_many_alerts_there_are_until_they_are_counted(tmp_path):
    settings = settings_of("demo") | {"data": {"source": "btsbot"}, "budget": {"alerts": 1000}}
    assert sum(plan_command.count_alerts(settings, tmp_path).values()) == 1000
    assert sum(plan_command.count_alerts(settings, tmp_path, given=10).values()) == 10


def test_the_full_study_needs_at_most_60_jobs_with_a_gpu():
    settings = settings_of("btsbot")
    runs = plan_command.training_runs(settings)
    timings = set(settings["grid"]["architectures"])
    assert len(runs) == 375
    assert runs["pack"].nunique() + len(plan_command.pretrainings(settings)) + len(timings) == 58
    # No job trains more than two networks with all objects, nor more than one that takes hours.
    trained = runs[runs["inputs"] == "image"].groupby("pack")["fraction"].sum()
    assert trained.max() <= 2
    assert trained[trained.index.str.contains("maxvit_tiny")].max() == 1


@pytest.mark.parametrize("study", ["demo", "ztf"])
def test_a_laptop_trains_long_runs_alone_and_short_ones_together(study):
    packs = plan_command.training_runs(settings_of(study)).groupby("pack")
    sizes = packs.size()
    assert len(sizes) == 21
    assert sizes["train_metadata_net-none-metadata_0"] == 6
    assert sizes["train_metadata_net-none-metadata-permuted_0"] == 8
    whole = packs["fraction"].max()[lambda most: most == 1].index
    images = [pack for pack in whole if "-image_" in pack]
    assert len(images) == 9
    assert sizes[images].eq(1).all()
