"""dataset.h5 and the best run's predictions -> its surest right and wrong judgements."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.figures.gallery import best_examples

best_examples(snakemake.input.dataset, snakemake.input.tables, snakemake.params.runs, snakemake.output[0])
