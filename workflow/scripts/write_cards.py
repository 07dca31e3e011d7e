"""Tables -> model cards and a reproducibility checklist."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.cards import write_cards, write_checklist

write_cards(snakemake.input[0], snakemake.output.cards, study=snakemake.params.study, data=snakemake.params.data)
write_checklist(
    snakemake.input[0], snakemake.output.checklist, study=snakemake.params.study, facts={"data": snakemake.params.data}
)
