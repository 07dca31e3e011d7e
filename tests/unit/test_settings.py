"""Settings: merged, checked, and refused with the name of the key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from alertgrid.errors import StudyError
from alertgrid.settings.study import expand_path, merge, override, resolve_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema():
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_every_study_of_the_config_is_allowed(config, schema):
    for study in config["studies"]:
        assert resolve_study({**config, "study": study}, schema)["grid"]


def test_merge_goes_key_by_key_and_null_removes():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert merge(base, {"a": {"c": [3]}, "d": None}) == {"a": {"b": 1, "c": [3]}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 4}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("study", "dmo", r"config key study: 'dmo' is unknown\n.*\n.*did you mean 'demo'"),
        ("stdy", "demo", r"config key stdy: unknown key"),
        ("studies.demo.grid.fraction", [1], r"studies\.demo\.grid\.fraction: unknown key\n.*\n.*mean 'fractions'"),
        ("studies.demo.grid.seeds", "0", r"studies\.demo\.grid\.seeds: '0' is not of type 'array'"),
        ("studies.demo.grid.fractions", [1.5], r"studies\.demo\.grid\.fractions\.0: 1\.5 is greater than"),
        ("studies.demo.splits.policy", "random", r"splits\.policy: 'random' is not one of"),
        ("studies.demo.grid.fractions", [25, 100], r"fractions\.0: .*\n  expected: shares of the training objects"),
        ("studies.demo.splits.shares", [81, 9, 10], r"shares\.0: .*\n  expected: three shares of objects"),
        ("studies.demo.grid.pretraining", ["a-b"], r"pretraining\.0: .*\n  expected: 'none' and names defined"),
        ("studies.demo.grid.seeds_of", {"btsbot_cnn": ["a"]}, r"cnn\.0: .*\n  expected: a list of whole numbers"),
        ("studies.demo.data.seed", -1, r"data\.seed: .*\n  expected: root of all random numbers"),
        ("studies.demo.about", 3, r"about: .*\n  expected: what the data are"),
        ("studies.demo.grid.exclude", [{"inputs": 3}], r"inputs: .*\n  expected: 3 is not of type 'string'"),
        ("studies.btsbot.data.splits", ["train", "valid"], r"splits\.1: 'valid' .*\n.*\n.*did you mean 'val'"),
        ("studies.btsbot.data.catalogue", "{split}_{ver}.csv", r"data\.catalogue: .*\n.*\{split\} and \{suffix\} are"),
        ("studies.btsbot.data.stamps", "{split.npy", r"data\.stamps: .*\n.*\{split\} and \{suffix\} are"),
        ("studies.btsbot.data.keep_columns", ["s/n"], r"keep_columns\.0: 's/n' .*\n.*have no '/'"),
        ("studies.btsbot.data.keep_columns", [".."], r"keep_columns\.0: '\.\.' .*\n.*more than dots"),
        ("studies.demo.training.learning_rate", "1e-4", r"not of type 'number'\n.*\n.*YAML needs 1\.0e-4, without"),
        ("studies.demo.training.learning_rate", "2.5E4", r"\n.*\n.*YAML needs 2\.5e\+4, without"),
        ("studies.demo.training.epochs", "1e2", r"\n.*\n.*YAML needs 100, without"),
        ("studies.demo.training.epochs", "many", r"\n.*\n.*correct the value in config\.yaml"),
        ("studies.demo.data", None, r"studies\.demo.*(data|source)"),
    ],
)
def test_a_mistake_is_named_with_its_key(config, schema, path, value, said):
    *parents, key = path.split(".")
    target = config
    for parent in parents:
        target = target.setdefault(parent, {})
    target[key] = value
    chosen = {"study": parents[1]} if parents else {}
    with pytest.raises(StudyError, match=said):
        resolve_study(config | chosen, schema)


@pytest.mark.parametrize("name", ["my study", "a/b", "..", "-x", "a;b", "a$b", "été", ""])
def test_a_name_that_a_shell_or_a_path_minds_is_refused(config, schema, name):
    studies = {name: config["studies"]["demo"]}
    with pytest.raises(StudyError, match=r"config key study: .* cannot name a folder\n.*letters, digits"):
        resolve_study({**config, "studies": studies, "study": name}, schema)


@pytest.mark.parametrize("name", ["ztf-2.1_b", 2024])
def test_other_names_are_free(config, schema, name):
    assert resolve_study({**config, "studies": {name: config["studies"]["demo"]}, "study": name}, schema)


def test_environment_variables_in_paths(monkeypatch):
    monkeypatch.setenv("SKY", "/data/sky")
    monkeypatch.delenv("NOT_THERE", raising=False)
    assert expand_path("$SKY/ztf", "data.folder") == "/data/sky/ztf"
    with pytest.raises(StudyError, match="NOT_THERE is not set"):
        expand_path("${NOT_THERE}/ztf", "data.folder")


def test_overrides_apply_in_order_where_all_words_match():
    overrides = {"image": {"epochs": 5}, "maxvit_tiny": {"epochs": 3}, "maxvit_tiny-galaxies": {"rate": 1}}
    assert override({"epochs": 25}, overrides, "maxvit_tiny-none-image") == {"epochs": 3}
    assert override({"epochs": 25}, overrides, "maxvit_tiny-galaxies-image") == {"epochs": 3, "rate": 1}
    assert override({"epochs": 25}, overrides, "btsbot_cnn-none-fusion") == {"epochs": 25}
    stamps = {"all": {"epochs": 9}, "science-permuted": {"epochs": 1}}
    assert override({}, stamps, "btsbot_cnn-none-image-science-permuted") == {"epochs": 1}
    assert override({}, stamps, "btsbot_cnn-none-image-science") == {"epochs": 9}
