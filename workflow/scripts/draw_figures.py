"""Tables -> figures with captions."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.figures import write_figures

write_figures(
    snakemake.input.tables, snakemake.output[0], catalogue=snakemake.input.catalogue, workers=snakemake.threads
)
