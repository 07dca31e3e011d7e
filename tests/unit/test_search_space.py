"""Ranges of a search are checked before any job; what is found enters a run as it is."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from alertgrid.errors import StudyError
from alertgrid.grid import expand_grid
from alertgrid.settings.study import resolve_study
from alertgrid.training.tuned import apply_best
from alertgrid.tuning.search_space import check_tuning, searched_cells

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
RANGES = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "models.cnn.channels": {"choices": [[4, 4], [8, 8]]},
}


@pytest.fixture
def config():
    config = yaml.safe_load((ROOT / "tests/toy/config.yaml").read_text())
    toy = config["studies"]["toy"]
    toy["tuning"] = {"btsbot_cnn": {"ranges": copy.deepcopy(RANGES), "trials": 3}}
    toy["training"]["tuned"] = True
    return config


def checked(config):
    settings = resolve_study(config, SCHEMA)
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    check_tuning(settings, grid, SCHEMA, "studies.toy")
    return settings, grid


def test_cells_of_the_network_are_searched_once_and_fusion_never(config):
    settings, grid = checked(config)
    assert searched_cells(grid, settings["tuning"])["cell"].tolist() == ["btsbot_cnn-none-image"]
    cells = searched_cells(grid, {"test_convnext": {}, "metadata_net": {}})["cell"].tolist()
    assert cells == ["metadata_net-none-metadata", "test_convnext-none-image", "test_convnext-galaxies-image"]
    assert searched_cells(grid, {}).empty


@pytest.mark.parametrize(
    ("name", "bounds", "said"),
    [
        ("training.learning_rates", {"low": 0.1, "high": 0.2}, "did you mean|unknown key"),
        ("training.learning_rate", {"low": 0.1, "high": 20}, "20 is greater than the maximum"),
        ("training.learning_rate", {"low": 0.1, "high": 0.1}, "low below high"),
        ("training.batch_size", {"choices": [32, 0.5]}, "0.5"),
        ("training.learning_rate", {"low": 0.1}, "low and high"),
        ("grid.seeds", {"choices": [1, 2]}, "grid.seeds"),
    ],
)
def test_impossible_ranges_are_refused_by_name(config, name, bounds, said):
    config["studies"]["toy"]["tuning"]["btsbot_cnn"]["ranges"] = {name: bounds}
    with pytest.raises(StudyError, match=said) as caught:
        checked(config)
    assert "tuning.btsbot_cnn" in caught.value.where


def test_nothing_is_both_searched_and_fixed(config):
    toy = config["studies"]["toy"]
    toy["training"]["overrides"]["btsbot_cnn-image"] = {"learning_rate": 0.1}
    with pytest.raises(StudyError, match="learning_rate is searched for btsbot_cnn-none-image too"):
        checked(config)
    toy["training"]["overrides"]["btsbot_cnn-permuted"] = toy["training"]["overrides"].pop("btsbot_cnn-image")
    with pytest.raises(StudyError, match="learning_rate is searched for btsbot_cnn-none-image too"):
        checked(config)
    del toy["training"]["overrides"]["btsbot_cnn-permuted"]
    toy["models"]["architectures"] = {"btsbot_cnn": {"cnn": {"channels": [2, 2]}}}
    with pytest.raises(StudyError, match=r"cnn\.channels is searched"):
        checked(config)


def test_a_search_of_no_network_and_tuned_runs_without_a_search_are_refused(config):
    toy = config["studies"]["toy"]
    toy["tuning"]["resnet18"] = toy["tuning"].pop("btsbot_cnn")
    with pytest.raises(StudyError, match="no network of the grid"):
        checked(config)
    toy["tuning"] = {}
    with pytest.raises(StudyError, match="ranges under tuning"):
        checked(config)


def test_the_best_settings_enter_the_recipe_and_are_said(tmp_path, capsys):
    best = {"value": 0.3, "settings": {"training": {"learning_rate": 0.01}, "models": {"cnn": {"channels": [4, 4]}}}}
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(best))
    given = ({"learning_rate": 0.1, "epochs": 3}, {"cnn": {"kernel": 3}})
    training, models = apply_best(tmp_path / "best.yaml", *given)
    assert training == {"learning_rate": 0.01, "epochs": 3}
    assert models == {"cnn": {"kernel": 3, "channels": [4, 4]}}
    assert "tuned: training.learning_rate = 0.01" in capsys.readouterr().err
    for content in ("", json.dumps({"value": 1})):
        (tmp_path / "best.yaml").write_text(content)
        with pytest.raises(StudyError, match="tune again"):
            apply_best(tmp_path / "best.yaml", *given)
