"""Settings that look right and are not: each is refused with one error that names the key, before anything runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from alertgrid import metrics
from alertgrid.encoders import ENCODERS
from alertgrid.errors import StudyError
from alertgrid.grid import expand_grid
from alertgrid.models.settings import resolve_settings
from alertgrid.settings.study import resolve_study
from alertgrid.settings.vocabulary import unused_keys

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())

MISTYPED = [
    ("training.overrides", {"convnet_pico": {"epochs": 3}}, "convnext_pico"),
    ("training.overrides", {"image-btsbot_cn": {"epochs": 3}}, "btsbot_cnn"),
    ("training.overrides", {"permutd": {"epochs": 3}}, "permuted"),
    ("grid.seeds_of", {"maxvitt": [0]}, "maxvit_tiny"),
    ("models.architectures", {"btsbot_cn": {"input_size": 63}}, "btsbot_cnn"),
    ("pretraining.galaxies.training.overrides", {"convnext_pic": {"epochs": 3}}, "convnext_pico"),
    ("packing", {"metdata": 4}, "metadata"),
    ("grid.exclude", [{"architecture": "btsbot_cnn", "pretraining": "galaxie"}], "galaxies"),
    ("grid.exclude", [{"architecture": "maxvitt", "inputs": "image"}], "maxvit_tiny"),
    ("grid.exclude", [{"inputs": "imge"}], "image"),
    ("grid.exclude", [{"stamps": "scince"}], "science"),
    ("report.baseline", "btsbot_cn", "btsbot_cnn"),
    ("report.threshold", "recal", "recall"),
    ("report.compared", ["roc_au"], "roc_auc"),
    ("report.claims.metric", "precison", "precision"),
    ("report.claims.baseline", "btsbot", "btsbot_cnn"),
    ("report.claims.domain", "galaxyzo", "galaxyzoo"),
    ("report.claims.others", ["imagnet"], "imagenet"),
    ("report.claims.without", "science_templte", "science_template"),
]
IMPOSSIBLE = [
    ("report.external", ["btsbot_score"], "none: the study has no column of data.keep_columns"),
    ("models.metadata.widths", [64], "two positive whole numbers"),
    ("models.joint.metadata_widths", [64, 8, 4], "two positive whole numbers"),
    ("models.cnn.channels", [16], "two positive whole numbers"),
    ("models.cnn.dropouts", [0.1], "two shares"),
    ("models.metadata.mode", "clean", "one of"),
    ("models.head.metadata_widths", [8, 8], "one of"),
    ("models.architectures", {"btsbot_cnn": {"architectures": {}}}, "one of"),
    ("models.architectures", {"btsbot_cnn": {"cnn": {"channels": [16]}}}, "two positive whole numbers"),
    ("data", {"source": "des", "file": "des.npz", "dtype": "float16"}, "[image]"),
    ("splits.shares", [0.5, 0.2, 0.2], "sum to 1"),
    ("training.overrides", {"image": {"overrides": {}}}, "one of"),
    ("pretraining.galaxies.training.tuned", True, "one of"),
    ("pretraining.galaxies", {"corpus": {"source": "simulation"}}, "number of galaxies"),
    ("report.threshold", 2, "0 to 1"),
    ("report.claims.metric", "brier", "greater value"),
    ("report.magnitude_edges", [20, 18, 16], "edges that ascend"),
    ("report.policy_edges", [17, 18, 18], "edges that ascend"),
    ("report.policies", [{"name": "bts_p1", "alerts": 1, "score": 0.5, "magnitude": 19}], "a name beside bts_p1"),
    ("report.policies", [{"name": "mine", "alerts": 1, "score": 0.5, "magnitude": m} for m in (18, 19)], "mine"),
]


def study(**changes):
    """Resolved settings of the demo with some dotted keys replaced."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for path, value in changes.items():
        target = config["studies"]["demo"]
        *parents, key = path.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[key] = value
    return resolve_study({**config, "study": "demo"}, SCHEMA)


@pytest.mark.parametrize(("key", "value", "nearest"), MISTYPED)
def test_a_mistyped_word_is_refused_with_its_key_and_the_nearest(key, value, nearest):
    start = time.monotonic()
    with pytest.raises(StudyError) as caught:
        study(**{key: value})
    assert caught.value.where.startswith(f"studies.demo.{key}")
    assert caught.value.remedy == f"did you mean {nearest!r}?"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(("key", "value", "expected"), IMPOSSIBLE)
def test_an_impossible_setting_is_refused_with_its_key(key, value, expected):
    with pytest.raises(StudyError) as caught:
        study(**{key: value})
    where = "grid.inputs" if key == "data" else key
    assert caught.value.where.startswith(f"studies.demo.{where}")
    assert expected in caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("metadata", {"widths": [64]}),
        ("joint", {"metadata_widths": [64, 8, 4]}),
        ("cnn", {"channels": [16]}),
        ("cnn", {"dropouts": 0.1}),
    ],
)
def test_networks_built_by_hand_refuse_them_too(section, values):
    with pytest.raises(StudyError, match=rf"models\.{section}\.{next(iter(values))}: is .*\n.*two values"):
        resolve_settings("btsbot_cnn", {section: values})


def test_words_that_other_studies_need_are_allowed_and_named():
    changes = {
        "training.overrides": {"image": {}, "resnet18": {"epochs": 3}, "btsbot_cnn-galaxies": {}, "all": {}},
        "packing": {"all": 1, "joint": 2},
        "grid.seeds_of": {"acero_cnn": [1], "metadata_net": [0]},
        "pretraining.galaxies.training": {"overrides": {"resnet18": {}, "maxvit_tiny": {}, "all": {}}},
    }
    settings = study(**changes)
    rules = [*settings["grid"]["exclude"], {"architecture": "maxvit_tiny", "inputs": "joint"}]
    settings["grid"]["exclude"] = rules
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    assert list(unused_keys(settings, grid)) == [
        "training.overrides.resnet18",
        "training.overrides.btsbot_cnn-galaxies",
        "packing.joint",
        "grid.seeds_of.acero_cnn",
        "pretraining.galaxies.training.overrides.resnet18",
        "grid.exclude.1",
    ]


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"grid.architectures": ["convnext_pico", "resnet18"], "grid.seeds_of": {}}, True),
        ({"grid.exclude": [{"architecture": "btsbot_cnn"}], "grid.seeds_of": {}}, True),
        ({"grid.architectures": ["convnext_pico"], "grid.pretraining": ["galaxies"], "grid.seeds_of": {}}, True),
        ({"grid.inputs": ["metadata"], "grid.seeds_of": {}}, False),
        ({"report.baseline": "convnext_pico"}, False),
        ({"report.baseline": None}, False),
    ],
)
def test_a_baseline_that_is_not_trained_is_noted_with_what_is_lost(changes, noted):
    settings = study(**{"training.overrides": {}, "packing": 0, "models.architectures": {}, **changes})
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    found = unused_keys(settings, grid)
    assert ("report.baseline" in found) == noted
    assert not noted or "names btsbot_cnn, which" in found["report.baseline"]
    assert not noted or "no differences from a baseline" in found["report.baseline"]


def test_studies_of_the_config_have_no_key_that_fits_nothing():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in config["studies"]:
        settings = resolve_study({**config, "study": name}, SCHEMA)
        assert unused_keys(settings, expand_grid(**settings["grid"], draws=settings["splits"]["draws"])) == {}, name


def test_the_schema_knows_the_metrics_and_the_package_the_networks():
    names = {key: SCHEMA["$defs"][key]["enum"] for key in ("rate", "gain", "metric")}
    assert names["metric"] == list(metrics.COMPARABLE)
    assert names["rate"] == list(metrics.CONFUSION)
    assert names["gain"] == [name for name in metrics.COMPARABLE if name not in metrics.LOWER_IS_BETTER]
    assert all("-" not in name for name in ENCODERS)
