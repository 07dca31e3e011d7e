"""The reader of the published format on large and on real files."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from alertgrid.dataset import read_catalogue, write_dataset
from alertgrid.errors import StudyError
from alertgrid.sources import btsbot
from published_tables import FIRST, write_split

# VmHWM, since getrusage's maximum is inherited from the process that started this one.
_MEASURE = """
import sys
from alertgrid.sources import btsbot
def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) // 1024
chunks = btsbot.read(folder=sys.argv[1], splits=["train"])
next(chunks)
first = peak()
refused = sum(len(chunk.refused) for chunk in chunks)
print(refused, first, peak())
"""


@pytest.mark.slow
def test_memory_stays_bounded_on_an_array_larger_than_the_bound(tmp_path):
    count = 24_000  # 2.3 GB of float64 stamps, all of them holes in the file
    write_split(tmp_path, count=6)
    table = pd.read_csv(tmp_path / "train_cand.csv")
    table = table.loc[np.zeros(count, int)].assign(candid=np.arange(count) + FIRST)
    table.to_csv(tmp_path / "train_cand.csv", index=False)
    np.lib.format.open_memmap(tmp_path / "train_triplets.npy", "w+", "float64", (count, 63, 63, 3))
    command = [sys.executable, "-c", _MEASURE, str(tmp_path)]
    refused, first, peak = map(int, subprocess.check_output(command, text=True).split())
    assert refused == count - 1024
    assert peak < 1000
    assert peak - first < 100


def test_a_bad_row_far_down_is_found_quickly(tmp_path):
    count = 30_000
    write_split(tmp_path, count=6)
    table = pd.read_csv(tmp_path / "train_cand.csv")
    table = table.loc[np.zeros(count, int)].assign(candid=np.arange(count) + FIRST)
    table.iloc[-1, list(table).index("label")] = 5
    table.to_csv(tmp_path / "train_cand.csv", index=False)
    np.lib.format.open_memmap(tmp_path / "train_triplets.npy", "w+", "float64", (count, 63, 63, 3))
    start = time.monotonic()
    with pytest.raises(StudyError, match=r"row 29999 .*label is 5"):
        btsbot.read(folder=str(tmp_path), splits=["train"])
    assert time.monotonic() - start < 10


@pytest.mark.real
def test_the_real_tables_pass_whole_and_reach_the_dataset(real_data, tmp_path):
    folder = real_data / "ztf"
    chunks = btsbot.read(folder=str(folder), keep_columns=["btsbot_v101_score", "sample"])
    count = write_dataset(tmp_path / "d.h5", tmp_path / "refused.csv", chunks, source="btsbot")
    catalogue = read_catalogue(tmp_path / "d.h5")
    published = pd.concat([pd.read_csv(folder / f"{split}_cand.csv") for split in ("train", "val", "test")])
    assert count == 1000
    assert catalogue["candid"].tolist() == published["candid"].tolist()
    assert catalogue["split"].tolist() == published["split"].tolist()
    assert catalogue["source_set"].tolist() == published["source_set"].tolist()
    np.testing.assert_allclose(catalogue["btsbot_v101_score"], published["btsbot_v101_score"])
    assert len(pd.read_csv(tmp_path / "refused.csv")) == 0


@pytest.mark.real
def test_the_real_example_has_rounded_alert_numbers(real_data):
    settings = {
        "folder": str(real_data / "btsbot_example"),
        "catalogue": "usage_candidates.csv",
        "stamps": "usage_triplets.npy",
    }
    with pytest.raises(StudyError, match=r"usage_candidates.csv, row 0 .*candid is 2.46644e\+18"):
        btsbot.read(**settings)
    chunks = list(btsbot.read(**settings, candid="row", keep_columns=["expected_scores"]))
    assert [len(chunk.catalogue) for chunk in chunks] == [39]
    assert chunks[0].catalogue["objectId"].nunique() == 2


@pytest.mark.real
def test_the_real_alerts_without_a_label_are_refused(real_data, tmp_path):
    stamps = np.load(real_data / "ztf" / "extra_triplets_float16.npz")["triplets"]
    np.save(tmp_path / "extra_triplets.npy", stamps)
    (tmp_path / "extra_cand.csv").symlink_to(real_data / "ztf" / "extra_cand.csv")
    with pytest.raises(StudyError, match=r"extra_cand.csv, row 0 .*(label is -1|sgscore1 is nan)"):
        btsbot.read(folder=str(tmp_path), splits=["extra"])
