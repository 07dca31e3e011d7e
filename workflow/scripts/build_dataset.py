"""Alerts of any origin -> dataset.h5 and the list of refused alerts."""

import sys

from alertgrid.dataset import write_dataset
from alertgrid.files import hash_files
from alertgrid.sources import read_alerts, reader

if __name__ == "__main__":  # processes that draw beside this one read the script again
    sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)
    source, settings = snakemake.params.source, snakemake.params.settings
    write_dataset(
        snakemake.output.dataset,
        snakemake.output.refused,
        read_alerts(source, settings, workers=snakemake.threads),
        source=source,
        dtype=snakemake.params.dtype,
        inputs=hash_files(reader(source).inputs(**settings)),
    )
