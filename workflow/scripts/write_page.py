"""Tables and figures -> one static page."""

import os
import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.page import write_page

write_page(
    snakemake.output[0],
    study=snakemake.params.study,
    description=snakemake.params.about,
    facts={"To repeat this study": snakemake.params.facts},
    tables=snakemake.input.tables,
    figures=[*snakemake.input.figures, *map(os.path.dirname, snakemake.input.searches)],
)
