"""Reading timing.csv: only what one job measured is compared, and the interval of a median is what it says."""

import numpy as np
import pandas as pd
from alertgrid.timing.results import beside_custom, is_subject, one_measurement

SETTING = {"device": "box", "precision": "fp32", "mode": "eager"}


def rows(job, **latencies):
    """Rows of a job at batches 1 and 2: architecture -> latency at the larger one, NaN where it was not measured."""
    inputs = job.split("-")[1]
    found = []
    for architecture, latency in latencies.items():
        for batch, value in ((1, latency / 2 if np.isfinite(latency) else 1.0), (2, latency)):
            own = {"job": job, "architecture": architecture, "inputs": inputs, "batch": batch, "latency_ms": value}
            found.append(own | SETTING)
    return pd.DataFrame(found)


def test_each_network_is_taken_from_its_own_job():
    table = pd.concat(
        [rows("net-image", net=4.0, cnn=9.0), rows("cnn-image", cnn=2.0), rows("big-image", big=8.0, cnn=5.0)],
        ignore_index=True,
    )
    kept = one_measurement(table).query("batch == 2").set_index("architecture")["latency_ms"]
    assert kept.to_dict() == {"net": 4.0, "cnn": 2.0, "big": 8.0}
    assert is_subject(table).sum() == 6


def test_a_custom_cnn_that_the_study_has_no_cell_of_is_taken_from_one_job():
    table = pd.concat([rows("net-image", net=4.0, cnn=9.0), rows("big-image", big=8.0, cnn=5.0)], ignore_index=True)
    kept = one_measurement(table).query("batch == 2 and architecture == 'cnn'")
    assert kept["latency_ms"].tolist() == [9.0]
    assert len(one_measurement(table)) == 6


def test_networks_stand_beside_the_custom_cnn_of_their_own_job():
    table = pd.concat(
        [rows("cnn-image", cnn=2.0), rows("net-image", net=4.0, cnn=9.0), rows("big-image", big=np.nan, cnn=5.0)],
        ignore_index=True,
    )
    found = beside_custom(table).set_index(["architecture", "batch"])
    assert found["latency_ms_custom"].to_dict() == {("net", 1): 4.5, ("net", 2): 9.0, ("big", 1): 2.5}
