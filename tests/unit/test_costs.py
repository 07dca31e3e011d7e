"""What the trainings took: encoders beside the runs, every GPU that shares one."""

from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
from alertgrid.files import write_json, write_text
from alertgrid.page.costs import cost
from alertgrid.tables import write_tables
from alertgrid.tables.costs import read_pretrainings, training_cost
from generated_study import inputs, load_generator

RUN = {"cell": "a-own-image", "fraction": 1.0, "wall_seconds": 3600.0, "device": "cuda:0"}
MANIFEST = {"wall_seconds": 1800.0, "device": "cuda:0", "peak_memory_bytes": 2**30, "epochs": 5}


@pytest.fixture
def encoders(tmp_path):
    """Scores of one encoder that is whole and of one whose manifest is missing."""
    write_json(tmp_path / "encoders/a-own/manifest.json", MANIFEST)
    for name in ("a-own", "b-own"):
        write_text(tmp_path / f"encoders/{name}/scores.csv", "target,metric,value\nclass,accuracy,0.9\n")
    return [tmp_path / f"encoders/{name}/scores.csv" for name in ("a-own", "b-own")]


def test_encoders_are_rows_beside_the_runs(encoders):
    pretrainings, problems = read_pretrainings(encoders)
    table = training_cost(pd.DataFrame([RUN, RUN]), pretrainings).set_index("kind")
    assert table["cell"].to_dict() == {"run": "a-own-image", "pre-training": "a-own"}
    assert table["gpu_hours"].to_dict() == {"run": 2.0, "pre-training": 0.5}
    assert table.loc["pre-training", ["n_runs", "wall_seconds", "peak_memory_mb"]].tolist() == [1, 1800, 1024]
    assert np.isnan(table.loc["pre-training", "fraction"])
    assert [name for name, _ in problems] == ["encoders: b-own/manifest.json"]


def test_encoders_alone_have_a_cost(encoders):
    table = training_cost(pd.DataFrame(), read_pretrainings(encoders)[0])
    assert table[["kind", "cell", "gpu_hours"]].to_numpy().tolist() == [["pre-training", "a-own", 0.5]]
    assert training_cost(pd.DataFrame()).empty


def test_every_gpu_that_shares_a_run_counts():
    table = training_cost(pd.DataFrame([RUN | {"devices": 4}, RUN]))  # the second is of before there was `devices`
    assert table["gpu_hours"].tolist() == [5.0]
    assert table["wall_seconds"].tolist() == [3600.0]


def test_the_report_holds_the_cost_of_its_encoders(tmp_path, encoders):
    load_generator().study(tmp_path, Namespace(cells=2, fractions=1, seeds=2, alerts=100, per_source=5))
    tables = write_tables(**inputs(tmp_path), output=tmp_path / "tables", encoders=encoders)
    assert tables["training_cost"]["kind"].value_counts().to_dict() == {"run": 2, "pre-training": 1}
    assert "encoders: b-own/manifest.json" in set(tables["missing"]["run"])
    shown = cost(tables["training_cost"])
    assert [row[1].text for row in shown.rows][-1] == "a-own"
    assert [bool(row[2].text) for row in shown.rows] == [True, True, False]  # an encoder has no fraction
