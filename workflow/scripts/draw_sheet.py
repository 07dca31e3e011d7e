"""dataset.h5 -> a contact sheet of its alerts."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.figures.gallery import contact_sheet

contact_sheet(snakemake.input[0], snakemake.output[0], description="object_type")  # where the catalogue has it
