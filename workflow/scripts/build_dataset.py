"""Alerts of any origin -> dataset.h5 and the list of refused alerts."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.dataset import write_dataset
from alertgrid.files import hash_files
from alertgrid.sources import reader

source = reader(snakemake.params.source)
write_dataset(
    snakemake.output.dataset,
    snakemake.output.refused,
    source.read(**snakemake.params.settings),
    source=snakemake.params.source,
    dtype=snakemake.params.dtype,
    inputs=hash_files(source.inputs(**snakemake.params.settings)),
)
