"""The toy study from end to end: linted, planned, run, idle the second time, rerun exactly where something changed."""

from __future__ import annotations

import html
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from alertgrid.dataset import read_catalogue
from alertgrid.files import read_json
from alertgrid.launch import guard
from project import ROOT

pytestmark = pytest.mark.slow


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
    program = Path(sys.executable).parent / name
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_and_snakefmt_are_silent():
    for arguments in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("snakefmt", "--check", ".")):
        result = tool(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr


def test_snakemake_lint_is_silent(fresh):
    result = fresh.snakemake("--lint")
    assert "Congratulations, your workflow is in a good condition!" in result.stdout + result.stderr, (
        result.stdout + result.stderr
    )


def test_the_plan_counts_every_run(fresh):
    planned = fresh.planned()
    assert planned["train"] == 8
    assert planned["fuse"] == 6
    assert planned["pretrain"] == 1
    assert planned["time_inference"] == 5


def test_the_toy_study_ends_with_a_report_and_a_check(finished):
    study = finished.folder / "results/toy"
    assert (study / "report/index.html").stat().st_size > 10_000
    assert "passed" in (study / "report/checked.txt").read_text()
    grid = pd.read_csv(study / "grid.csv")
    assert len(grid) == 14
    for run in grid["run"]:
        assert {path.name for path in (study / "runs" / run).iterdir()} == {
            "weights.safetensors",
            "last.safetensors",
            "history.csv",
            "predictions.h5",
            "run.json",
        }


def test_a_published_model_stands_beside_the_networks(finished):
    study = finished.folder / "results/toy"
    performance = pd.read_csv(study / "report/tables/performance.csv")
    rows = performance[performance["metric"] == "roc_auc"].set_index("cell")
    entrant = rows.loc["published"]
    assert entrant["architecture"] == "external"
    assert entrant["n_alerts"] == rows.loc["btsbot_cnn-none-image", "n_alerts"]
    assert 0 <= entrant["low"] <= entrant["estimate"] <= entrant["high"] <= 1
    page = (study / "report/index.html").read_text()
    assert page.count("published") > 2
    assert "Published models, run here without training" in page


SEARCH = """    tuning:
      btsbot_cnn:
        ranges:
          training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
          models.cnn.channels: {choices: [[4, 4], [6, 6]]}
        trials: 3
        at_once: 2
"""


def test_a_search_of_settings_reaches_the_runs(fresh):
    fresh.edit("config.yaml", "    training:\n      epochs", f"{SEARCH}    training:\n      tuned: true\n      epochs")
    run, cell = "results/toy/runs/btsbot_cnn-none-image/f1/s1/run.json", "results/toy/tuning/btsbot_cnn-none-image"
    assert fresh.planned()["tune"] == 1
    result = fresh.snakemake(run, seconds=300)
    assert result.returncode == 0, result.stdout + result.stderr
    best = yaml.safe_load((fresh.folder / cell / "best.yaml").read_text())
    trials = pd.read_csv(fresh.folder / cell / "trials.csv")
    assert len(trials) == 3
    assert best["value"] == pytest.approx(trials["value"].min(), rel=1e-12)
    settings = read_json(fresh.folder / run)["settings"]
    assert settings["training"]["learning_rate"] == best["settings"]["training"]["learning_rate"]
    assert settings["models"]["cnn"]["channels"] == best["settings"]["models"]["cnn"]["channels"]
    assert settings["models"]["cnn"]["kernel"] == 3
    assert fresh.planned(run) == {}
    # More trials go on in the same journal; nothing is trained again that was.
    fresh.edit("config.yaml", "trials: 3", "trials: 4")
    result = fresh.snakemake(f"{cell}/best.yaml", seconds=300)
    assert result.returncode == 0, result.stdout + result.stderr
    again = pd.read_csv(fresh.folder / cell / "trials.csv")
    assert len(again) == 4
    assert again["value"].iloc[:3].tolist() == trials["value"].tolist()


def test_a_network_at_two_input_sizes_is_trained_and_timed_twice(fresh):
    fresh.edit("config.yaml", "test_convnext]", "test_convnext, test_convnext@96]")
    cell = "results/toy/runs/test_convnext@96-none-image/f1/s0/run.json"
    result = fresh.snakemake(cell, "results/toy/timing/test_convnext@96-image.csv", seconds=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert read_json(fresh.folder / cell)["settings"]["models_resolved"]["input_size"] == 96
    timing = pd.read_csv(fresh.folder / "results/toy/timing/test_convnext@96-image.csv")
    sizes = timing.query("inputs == 'image'").groupby("architecture")["input_size"].first()
    assert sizes.to_dict() == {"btsbot_cnn": 63, "test_convnext@96": 96}


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_the_log_of_a_run_shows_progress_and_a_summary(finished):
    log = finished.folder / "results/toy/logs/train/btsbot_cnn-none-image/f1/s0.log"
    assert "left" in log.read_text()
    assert "btsbot_cnn-none-image" in log.read_text().splitlines()[-1]


def test_the_console_has_one_line_for_each_finished_training(finished):
    lines = finished.said.splitlines()
    assert sum(" val AUC " in line and ", best epoch " in line for line in lines) == 14
    assert sum(line.startswith("test_convnext on ") for line in lines) == 1


REPORTED = {"tabulate", "draw_figures", "draw_examples", "write_page", "write_cards", "check_results"}


def test_a_changed_setting_reruns_what_depends_on_it(finished):
    finished.edit("config.yaml", "fusion: {epochs: 3}", "fusion: {epochs: 4}")
    try:
        planned = finished.planned()
    finally:
        finished.edit("config.yaml", "fusion: {epochs: 4}", "fusion: {epochs: 3}")
    assert planned.pop("fuse") == 6
    assert set(planned) == REPORTED
    assert finished.planned() == {}


def test_a_changed_head_of_the_fusions_times_fusions_alone(finished):
    before = "head: {widths: [16], dropout: 0.1}"
    after = f"{before}\n      fusion: {{dropout: 0.2}}"
    finished.edit("config.yaml", before, after)
    try:
        planned = finished.planned()
    finally:
        finished.edit("config.yaml", after, before)
    assert (planned.pop("fuse"), planned.pop("time_inference")) == (6, 2)
    assert set(planned) == REPORTED


def test_a_new_seed_trains_only_its_own_runs(finished):
    finished.edit("config.yaml", "seeds: [0, 1]", "seeds: [0, 1, 2]")
    try:
        planned = finished.planned()
    finally:
        finished.edit("config.yaml", "seeds: [0, 1, 2]", "seeds: [0, 1]")
    assert (planned.pop("train"), planned.pop("fuse"), planned.pop("write_grid")) == (4, 3, 1)
    assert set(planned) == REPORTED


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("page/__init__.py", {"write_page"}),
        ("page/views.py", {"write_page", "write_cards"}),
        ("figures/style.py", {"draw_figures", "draw_sheet", "draw_examples", "write_page", "write_cards"}),
        ("sources/avro.py", set()),
        ("training/recipe.py", {"pretrain", "train", "fuse"} | REPORTED),
        ("metrics.py", REPORTED),
        ("splits.py", {"split", "train", "fuse", "predict_entrant"} | REPORTED),
        ("weights/published.py", {"predict_entrant"} | REPORTED),
        ("errors.py", set()),
    ],
)
def test_a_changed_module_reruns_what_uses_it(finished, module, expected):
    path = finished.folder / "workflow/alertgrid" / module
    before = path.read_text()
    path.write_text(before + "\n# changed\n")
    try:
        assert set(finished.planned()) == expected
    finally:
        path.write_text(before)
    assert finished.planned() == {}


@pytest.mark.real
def test_the_real_alerts_become_a_catalogue_by_one_line_of_config(fresh, real_data, monkeypatch):
    monkeypatch.setenv("ALERTGRID_ZTF", str(real_data / "ztf"))
    fresh.folder.joinpath("config.yaml").write_text((ROOT / "config.yaml").read_text())
    result = fresh.snakemake("--config", "study=ztf", "--", "results/ztf/catalogue.h5", seconds=120)
    assert result.returncode == 0, result.stdout + result.stderr
    catalogue = read_catalogue(fresh.folder / "results/ztf/catalogue.h5")
    assert catalogue.groupby("split").size().to_dict() == {"train": 602, "val": 200, "test": 198}
    assert catalogue["candid"].dtype == "int64"
    assert catalogue["btsbot_v101_score"].between(0, 1).all()


def test_what_failed_is_named_at_the_end(fresh):
    fresh.edit("workflow/scripts/build_dataset.py", "import", "raise SystemExit('no alerts today')\nimport")
    result = fresh.snakemake("results/toy/dataset.h5", "results/toy/grid.csv", "--retries", "0")
    assert result.returncode != 0
    assert "python -m alertgrid status --study toy" in result.stderr
    assert "snakemake --config study=toy partial=true -- report" in result.stderr
    assert not (fresh.folder / "results/toy" / guard.LOCK).exists()


def test_snakemakes_own_report_has_titles_and_captions(finished, tmp_path):
    for name in ("out.zip", "out.html"):
        result = finished.snakemake("--report", str(tmp_path / name))
        assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    study = next((finished.folder / "results").glob("*/report"))
    for part in ("results", "sheet", "examples"):
        for name, figure in read_json(study / "figures" / part / "captions.json")["figures"].items():
            assert f'"{name}.png", "labels": {{"figure": {json.dumps(figure["title"])}}}' in text, name
            assert html.escape(figure["caption"][:40], quote=False) in text, name
    assert '"labels": {"table": "performance"}' in text
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
    assert any(name.endswith("/performance.png") for name in names)
    assert any(name.endswith("/index.html") for name in names)
