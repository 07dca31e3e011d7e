"""The page on scale says what its arithmetic says."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale():
    spec = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks" / "scale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["storage", "training", "feeding", "nights"])
def test_the_tables_of_the_page_are_those_of_the_arithmetic(scale, name):
    assert scale.TABLES[name]() in (ROOT / "docs" / "scale.md").read_text()


def test_one_figure_by_hand(scale):
    # 810,000 training alerts x 25 epochs x 0.014 ms = 283.5 s = 0.079 hours
    row = next(line for line in scale.training().splitlines() if line.startswith("| convnext_pico"))
    assert row.split(" | ")[3] == "0.079"
    assert scale.number(0.81 * 25 * 1e6 * 0.014e-3 / 3600) == "0.079"
