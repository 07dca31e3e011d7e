"""The reader of alert packets on real ones: they agree with the published tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alertgrid.columns import METADATA_COLUMNS
from alertgrid.dataset import read_catalogue, write_dataset
from alertgrid.sources import avro

# Columns of the published tables that a packet cannot give: new_drb was computed anew there by braai d6_m9.
RECOMPUTED = {"new_drb"}


def published_rows(folder) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Rows of all tables, by alert, and their stamps (3, 63, 63)."""
    tables, stamps = [], {}
    for name in ("train", "val", "test", "extra"):
        table = pd.read_csv(folder / f"{name}_cand.csv").assign(table=name)
        path = folder / ("extra_triplets_float16.npz" if name == "extra" else f"{name}_triplets.npy")
        pixels = np.load(path)["triplets"] if name == "extra" else np.load(path)
        stamps |= dict(zip(table["candid"], pixels.transpose(0, 3, 1, 2), strict=True))
        tables.append(table)
    return pd.concat(tables).set_index("candid"), stamps


@pytest.mark.real
@pytest.mark.parametrize("with_history", [False, True])
def test_the_real_packets_agree_with_the_published_tables(real_data, tmp_path, with_history):
    folder = real_data / "ztf"
    published, pixels = published_rows(folder)
    labels = published[["objectId", "label", "split"]].assign(label=published["label"].clip(0)).drop_duplicates()
    labels.to_csv(tmp_path / "labels.csv", index=False)
    chunks = avro.read(
        folder=str(folder / "raw_avro"),
        labels=str(tmp_path / "labels.csv"),
        history=str(folder / "history.csv") if with_history else "",
        apply_cuts=False,
    )
    catalogue, metadata, stamps, refused = [], [], [], []
    for chunk in chunks:
        catalogue.append(chunk.catalogue)
        metadata.append(chunk.metadata)
        stamps.append(chunk.stamps)
        refused += chunk.refused
    catalogue, metadata, stamps = pd.concat(catalogue), np.concatenate(metadata), np.concatenate(stamps)
    assert len(catalogue) == 26 + 31
    assert sorted(refusal.file for refusal in refused) == [
        "foreign/decam.avro",
        "foreign/pgir.avro",
        "foreign/winter.avro",
    ]
    rows = published.loc[catalogue["candid"]]
    assert (rows["table"] == "extra").sum() == 10
    for candid, table, stamp in zip(catalogue["candid"], rows["table"], stamps, strict=True):
        tolerance = 3e-4 if table == "extra" else 1e-6  # the extra stamps were stored in float16
        np.testing.assert_allclose(stamp, pixels[candid], rtol=0, atol=tolerance)
    differing = set()
    for name, values in zip(METADATA_COLUMNS, metadata.T, strict=True):
        expected = rows[name].to_numpy()
        if not np.allclose(values, expected, rtol=1e-6, atol=1e-6):
            differing.add(name)
    assert differing == RECOMPUTED
    assert catalogue["new_drb_from"].value_counts().to_dict() == {"drb": 50, "rb": 7}


@pytest.mark.real
def test_the_real_packets_reach_the_dataset(real_data, tmp_path):
    folder = real_data / "ztf"
    chunks = avro.read(
        folder=str(folder / "raw_avro"), labels=str(folder / "train_cand.csv"), keep_columns=["ssnamenr", "rb"]
    )
    count = write_dataset(tmp_path / "d.h5", tmp_path / "refused.csv", chunks, source="avro")
    catalogue, refused = read_catalogue(tmp_path / "d.h5"), pd.read_csv(tmp_path / "refused.csv")
    assert count == len(catalogue) == (catalogue["split"] == "train").sum()
    assert count + len(refused) == 60
    assert (catalogue["isdiffpos"] == "t").all()
    assert refused["reason"].str.startswith("BTSbot cut: isdiffpos = f").sum() == 16
    assert refused["reason"].str.contains("has no label").sum() == 57 - 16 - count
