"""Every run of the study, one row each."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

import pandas as pd
from alertgrid.files import write_csv

write_csv(snakemake.output[0], pd.DataFrame(snakemake.params.grid))
