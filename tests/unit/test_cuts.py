"""BTSbot's cuts, by whichever reader the alerts come."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.sources import read_alerts
from alertgrid.sources.cuts import CUT_COLUMNS, cut_chunk, cut_reasons
from alerts import make_chunk
from packets import FIRST, packet, read_all, write, write_labels

NO_SCORE = "BTSbot cut: no star/galaxy score (sgscore1 and sgscore2 below 0)"
BRIGHT = "BTSbot cut: labelled as dim, but its source peaks at 18.5 mag or brighter"


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        ({}, ""),
        ({"fid": 2, "sgscore1": -999.0}, ""),
        ({"sgscore2": -999.0, "sgscore1": 0.0}, ""),
        ({"isdiffpos": "f", "fid": 3}, "BTSbot cut: isdiffpos = f"),
        ({"fid": 3}, "BTSbot cut: fid = 3"),
        ({"sgscore1": -999.0, "sgscore2": -999.0}, NO_SCORE),
        ({"source_set": "dims", "peakmag": 18.5}, BRIGHT),
        ({"source_set": "dims", "peakmag": 18.51}, ""),
        ({"source_set": "dims", "peakmag": np.nan}, ""),
        ({"source_set": "vars", "peakmag": 15.0}, ""),
    ],
)
def test_each_cut_names_itself(alert, reason):
    fine = {"isdiffpos": "t", "fid": 1, "sgscore1": 0.5, "sgscore2": 0.5, "source_set": "trues", "peakmag": 17.0}
    assert cut_reasons(pd.DataFrame([fine | alert])).tolist() == [reason]


def test_no_alerts_are_no_reasons():
    nothing = pd.DataFrame(columns=[*CUT_COLUMNS, "source_set", "peakmag"])
    assert cut_reasons(nothing.astype({"fid": float, "peakmag": float})).empty


def test_a_chunk_loses_whole_alerts_and_lists_them():
    chunk = make_chunk(6, 3)
    metadata = chunk.metadata.copy()
    metadata[:, [METADATA_COLUMNS.index(name) for name in ("sgscore1", "sgscore2")]] = 0.5
    chunk = dataclasses.replace(chunk, metadata=metadata, catalogue=chunk.catalogue.assign(fid=[1, 2, 3, 3, 2, 1]))
    left = cut_chunk(chunk, pd.Series(np.full(6, 19.0)))
    assert left.catalogue["candid"].tolist() == chunk.catalogue["candid"].iloc[[0, 1, 4, 5]].tolist()
    np.testing.assert_array_equal(left.stamps, chunk.stamps[[0, 1, 4, 5]])
    np.testing.assert_array_equal(left.metadata, metadata[[0, 1, 4, 5]])
    assert [(gone.candid, gone.reason) for gone in left.refused] == [
        (str(candid), "BTSbot cut: fid = 3") for candid in chunk.catalogue["candid"].iloc[[2, 3]]
    ]


def test_packets_are_cut_unless_asked_otherwise_and_still_count_as_history(tmp_path):
    alerts = [packet(0, isdiffpos="f", magpsf=16.0), packet(1), packet(2, fid=3.0), packet(3, "ZTF19bbbbbbb")]
    alerts += [packet(4, "ZTF19bbbbbbb", magpsf=18.4, sgscore1=-999.0, sgscore2=-999.0)]
    write(tmp_path / "a.avro", alerts)
    write_labels(tmp_path, [("ZTF18aaaaaaa", 1, "trues", "train"), ("ZTF19bbbbbbb", 0, "dims", "val")])
    catalogue, metadata, _, refused = read_all(tmp_path)
    assert catalogue["candid"].tolist() == [FIRST + 1]
    assert metadata[0, METADATA_COLUMNS.index("peakmag_so_far")] == 16.0
    assert [(gone.row, gone.candid, gone.reason) for gone in refused] == [
        (0, str(FIRST), "BTSbot cut: isdiffpos = f"),
        (2, str(FIRST + 2), "BTSbot cut: fid = 3"),
        (3, str(FIRST + 3), BRIGHT),
        (4, str(FIRST + 4), NO_SCORE),
    ]
    assert len(read_all(tmp_path, apply_cuts=False)[0]) == 5


def test_a_simulated_sky_is_cut_on_request_alone():
    sky = {"trues": 0, "dims": 0, "vars": 20, "rejects": 0, "alerts_per_source": 3, "seed": 3}
    whole, cut = (list(read_alerts("simulation", sky | extra)) for extra in ({}, {"apply_cuts": True}))
    signs = pd.concat([chunk.catalogue for chunk in whole])["isdiffpos"]
    assert set(signs) == {"t", "f"}
    assert set(pd.concat([chunk.catalogue for chunk in cut])["isdiffpos"]) == {"t"}
    reasons = [gone.reason for chunk in cut for gone in chunk.refused]
    assert reasons.count("BTSbot cut: isdiffpos = f") == (signs == "f").sum()
    assert not [gone for chunk in whole for gone in chunk.refused]
