"""dataset.h5 and the best run's predictions -> its surest right and wrong judgements."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.figures.gallery import best_run, example_gallery

run = best_run(snakemake.input.tables)
example_gallery(
    snakemake.input.dataset,
    f"{snakemake.params.runs}/{run}/predictions.h5",
    snakemake.output[0],
    run=run,
)
