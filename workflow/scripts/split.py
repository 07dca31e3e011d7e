"""dataset.h5 -> catalogue.h5: who trains, validates, tests."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.dataset import read_catalogue, write_catalogue
from alertgrid.external import external_scores
from alertgrid.splits import assign_splits

catalogue = read_catalogue(snakemake.input[0])
external_scores(catalogue, snakemake.params.external)  # they are wanted last, and refused first
write_catalogue(snakemake.output[0], assign_splits(catalogue, **snakemake.params.settings))
