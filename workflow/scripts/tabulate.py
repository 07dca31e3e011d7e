"""Predictions and records of all runs -> the tables of the report."""

import sys

from alertgrid.tables import write_tables

if __name__ == "__main__":  # processes that judge runs beside this one read the script again
    sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)
    write_tables(
        catalogue=snakemake.input.catalogue,
        dataset=snakemake.input.dataset,
        refused=snakemake.input.refused,
        grid=snakemake.input.grid,
        encoders=snakemake.input.encoders,
        timing=snakemake.input.timing,
        machines=snakemake.input.machines,
        entrants=snakemake.input.entrants,
        runs=snakemake.params.runs,
        output=snakemake.output[0],
        workers=snakemake.threads,
        **snakemake.params.settings,
    )
