"""The page on scale says what its arithmetic says."""

import pytest
from loading import ROOT, load_script


@pytest.fixture(scope="module")
def scale():
    return load_script("benchmarks/scale.py")


@pytest.mark.parametrize("name", ["storage", "training", "feeding", "nights"])
def test_the_tables_of_the_page_are_those_of_the_arithmetic(scale, name):
    assert scale.TABLES[name]() in (ROOT / "docs" / "scale.md").read_text()


def test_one_figure_by_hand(scale):
    # 810,000 training alerts x 25 epochs x 0.014 ms = 283.5 s = 0.079 hours
    row = next(line for line in scale.training().splitlines() if line.startswith("| convnext_pico"))
    assert row.split(" | ")[3] == "0.079"
    assert scale.number(0.81 * 25 * 1e6 * 0.014e-3 / 3600) == "0.079"
