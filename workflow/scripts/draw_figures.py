"""Tables -> figures with captions."""

import sys

from alertgrid.figures import write_figures

if __name__ == "__main__":  # processes that draw beside this one read the script again
    sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)
    write_figures(
        snakemake.input.tables, snakemake.output[0], catalogue=snakemake.input.catalogue, workers=snakemake.threads
    )
