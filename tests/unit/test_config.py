"""config.yaml shows every scientific choice, with the values that the package itself would take."""

from __future__ import annotations

import inspect
import itertools
import re
from dataclasses import MISSING, asdict, fields
from pathlib import Path

import pytest
import yaml
from alertgrid.claims.rules import Rules
from alertgrid.corpora.fractals import draw_fractals
from alertgrid.corpora.pictures import read_images
from alertgrid.models.settings import DEFAULTS, resolve_settings
from alertgrid.sources import avro, btsbot
from alertgrid.sources.simulation.corpus import write_corpus
from alertgrid.sources.simulation.settings import Settings as Sky
from alertgrid.tables.settings import ReportSettings
from alertgrid.timing.measure import Sweep
from alertgrid.training.recipe import NOT_IDENTITY, Recipe
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "config.yaml").read_text()
STUDY = yaml.safe_load(TEXT)["defaults"]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def plain(values):
    """Settings as YAML would know them: lists for tuples, numbers for NumPy's."""
    if isinstance(values, dict):
        return {key: plain(value) for key, value in values.items()}
    return [plain(value) for value in values] if isinstance(values, list | tuple) else values


def stated(settings, whole, left_out=()):
    """What config.yaml states and what the package would take, without those keys."""
    return plain({key: whole[key] for key in whole if key not in left_out}), plain(
        {key: value for key, value in settings.items() if key not in left_out}
    )


def test_the_report_is_judged_as_the_package_would():
    own, given = stated(STUDY["report"], asdict(ReportSettings()), ("claims", "workers"))
    assert given == own
    own, given = stated(STUDY["report"]["claims"], asdict(Rules()), ("level",))
    assert given == own


def test_timing_and_training_are_those_of_the_package():
    own, given = stated(STUDY["timing"], asdict(Sweep()), ("threads", "seed"))
    assert given == own
    own, given = stated(STUDY["training"], Recipe().settings(), ("tuned", "overrides", *NOT_IDENTITY))
    assert given == own


def test_no_study_may_say_how_the_machine_is_used():
    assert not set(SCHEMA["$defs"]["study_recipe"]["properties"]) & set(NOT_IDENTITY)


def test_networks_are_those_of_the_package():
    assert STUDY["models"] == DEFAULTS
    assert resolve_settings("convnext_pico", STUDY["models"]) == resolve_settings("convnext_pico")


def keys_of(schema):
    """Names of all settings in a schema."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema))
    if not isinstance(schema, dict):
        return set()
    return set().union(schema.get("properties", {}), *map(keys_of, schema.values()))


def test_every_key_of_the_schema_is_shown():
    assert {key for key in keys_of(SCHEMA) if not re.search(rf"\b{key}\b", TEXT)} == set()


def shown():
    """The block of sources and corpora at the end of config.yaml, without its comment signs."""
    lines = itertools.dropwhile(lambda line: line != "# alerts:", TEXT.splitlines())
    return yaml.safe_load("\n".join(line[2:] for line in lines))


def defaults_of(source):
    """Key -> default of what takes the settings of a source; keys without a sensible one are left out."""
    if inspect.isfunction(source):
        found = {name: given.default for name, given in inspect.signature(source).parameters.items()}
        return plain({name: value for name, value in found.items() if value is not inspect.Parameter.empty})
    made = {entry.name: entry.default_factory() for entry in fields(source) if entry.default_factory is not MISSING}
    return plain(made | {entry.name: entry.default for entry in fields(source) if entry.default is not MISSING})


@pytest.mark.parametrize(
    ("kind", "source", "takes"),
    [
        ("alerts", "avro", avro.Settings),
        ("alerts", "btsbot", btsbot.Settings),
        ("alerts", "simulation", Sky),
        ("alerts", "des", None),
        ("corpora", "simulation", write_corpus),
        ("corpora", "fractals", draw_fractals),
        ("corpora", "images", read_images),
    ],
)
def test_every_key_of_a_source_is_shown_with_its_default(kind, source, takes):
    [example] = [example for example in shown()[kind] if example["source"] == source]
    part = SCHEMA["properties"]["data"] if kind == "alerts" else SCHEMA["$defs"]["corpus"]
    rule = next(rule["then"] for rule in part["allOf"] if rule["if"]["properties"]["source"]["const"] == source)
    rule = SCHEMA["$defs"][source] if "$ref" in rule else rule
    assert set(example) == set(rule["properties"]) - {"dtype"}
    Draft202012Validator({**rule, "$defs": SCHEMA["$defs"]}).validate(example)
    defaults = {key: value for key, value in (defaults_of(takes) if takes else {}).items() if key in example}
    for key in defaults.keys() - {"history", "split_column"}:  # optional: shown with an example
        assert example[key] == ({} if defaults[key] is None else defaults[key]), key
    assert set(example) - defaults.keys() <= {"source", *rule.get("required", ())}
