"""Figures of cost: each network from its own job, legends of what is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import synthetic_report
from alertgrid.figures.timing import _STEP, _apart, accuracy_cost, best_batch


def test_fastest_batch_in_fp32_eager_is_taken():
    best = best_batch(synthetic_report.timing())
    assert set(best["batch"]) == {256}
    assert set(best["precision"] + best["mode"]) == {"fp32eager"}
    only = synthetic_report.timing().query("precision == 'bf16'")
    assert set(best_batch(only)["precision"]) == {"bf16"}


@pytest.mark.parametrize(
    ("inputs", "shown"), [(["image"], {"image only"}), (["image", "fusion"], {"image only", "with metadata"})]
)
def test_legend_names_the_inputs_that_are_drawn(inputs, shown):
    timing = synthetic_report.timing()
    tables = {"timing": timing[timing["inputs"].isin(inputs)], "performance": synthetic_report.performance()}
    for drawing in accuracy_cost(tables, ["roc_auc"]):
        words = {text.get_text() for text in drawing.figure.legends[0].get_texts()}
        assert words & {"image only", "with metadata"} == shown
        assert drawing.figure.axes[1].get_xlabel() == "Memory (MiB)"


def test_marks_of_one_network_are_set_side_by_side():
    table = pd.DataFrame({"architecture": ["a", "a", "b"], "inputs": "image", "cell": ["x", "y", "z"]})
    np.testing.assert_allclose(_apart(table), [_STEP**-0.5, _STEP**0.5, 1])
