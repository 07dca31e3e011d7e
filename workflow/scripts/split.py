"""dataset.h5 -> catalogue.h5: who trains, validates, tests."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.dataset import read_catalogue, write_catalogue
from alertgrid.splits import assign_splits

write_catalogue(snakemake.output[0], assign_splits(read_catalogue(snakemake.input[0]), **snakemake.params.settings))
