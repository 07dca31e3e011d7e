"""Made-up packets of ZTF's layouts, and what the reader makes of a folder of them."""

from __future__ import annotations

import gzip
import io

import fastavro
import numpy as np
import pandas as pd
from alertgrid.sources import avro, packets
from astropy.io import fits

FIRST = 2_466_440_000_000_000_001
CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}
NUMBERS = (*packets.NEEDED_COLUMNS, "drb", "rb")


def schema(outer_candid: bool) -> dict:
    """A layout of ZTF packets; older brokers keep `candid` in the inner record only."""
    fields = [{"name": name, "type": ["null", "double"]} for name in dict.fromkeys(NUMBERS)]
    texts = [{"name": name, "type": ["null", "string"]} for name in ("isdiffpos", "drbversion", "ssnamenr")]
    inner = {"name": "candid", "type": ["null", "long"]}
    candidate = {"type": "record", "name": "candidate", "fields": [inner, *fields, *texts]}
    previous = {
        "type": "record",
        "name": "prv",
        "fields": [{"name": n, "type": ["null", "double"]} for n in ("jd", "magpsf")],
    }
    outer = [
        {"name": "publisher", "type": ["null", "string"]},
        {"name": "objectId", "type": "string"},
        {"name": "candidate", "type": candidate},
        {"name": "prv_candidates", "type": ["null", {"type": "array", "items": previous}]},
        *({"name": name, "type": CUTOUT if name == "cutoutScience" else "cutout"} for name in packets.CUTOUTS),
    ]
    if outer_candid:
        outer.append({"name": "candid", "type": "long"})
    return {"type": "record", "name": "alert", "fields": outer}


def image(pixels: np.ndarray) -> dict:
    """A cutout as packets carry it."""
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels.astype(np.float32)).writeto(buffer)
    return {"fileName": "x.fits.gz", "stampData": gzip.compress(buffer.getvalue())}


def pixels_of(number: int) -> np.ndarray:
    """The cutouts of an alert."""
    return np.random.default_rng(number).normal(100, 5, (3, 63, 63)).astype(np.float32)


def packet(number: int, name: str = "ZTF18aaaaaaa", cutouts=None, previous=None, **candidate) -> dict:
    """One alert; keyword arguments replace values of its inner record."""
    rng = np.random.default_rng(1000 + number)
    values = {column: float(rng.uniform(1, 2)) for column in NUMBERS}
    values |= {"jd": 2_459_000.5 + number, "fid": 1.0, "magpsf": 18.0 + number / 10, "jdstarthist": 2_458_999.0}
    values |= {"ndethist": 2.0, "ncovhist": 9.0, "isdiffpos": "t", "drb": 0.75, "drbversion": "d6_m7", "rb": 0.5}
    values |= {"candid": FIRST + number, "ssnamenr": None}
    cutouts = pixels_of(number) if cutouts is None else cutouts
    return {
        "publisher": "ZTF",
        "objectId": name,
        "candid": FIRST + number,
        "candidate": values | candidate,
        "prv_candidates": previous,
        **{key: image(np.asarray(cutout)) for key, cutout in zip(packets.CUTOUTS, cutouts, strict=True)},
    }


def write(path, alerts: list[dict], codec: str = "null", outer_candid: bool = True):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as handle:
        fastavro.writer(handle, fastavro.parse_schema(schema(outer_candid)), alerts, codec=codec)
    return path


def write_labels(
    folder, rows=(("ZTF18aaaaaaa", 1, "trues", "train"), ("ZTF19bbbbbbb", 0, "vars", "val")), columns=None
):
    path = folder / "labels.csv"
    columns = columns or ["objectId", "label", "source_set", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def read_all(folder, **settings):
    labels = settings.pop("labels", None) or folder / "labels.csv"
    chunks = list(avro.read(folder=str(folder), labels=str(labels), **settings))
    return (
        pd.concat([chunk.catalogue for chunk in chunks], ignore_index=True),
        np.concatenate([chunk.metadata for chunk in chunks]),
        np.concatenate([chunk.stamps for chunk in chunks]),
        [refusal for chunk in chunks for refusal in chunk.refused],
    )
