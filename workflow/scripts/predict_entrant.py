"""Published model and alerts -> its scores and a record."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.entrants import predict_published

predict_published(
    snakemake.params.model,
    snakemake.input.dataset,
    snakemake.input.catalogue,
    snakemake.params.folder,
    name=snakemake.wildcards.entrant,
    threads=snakemake.threads,
)
