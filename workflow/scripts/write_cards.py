"""Tables -> model cards and a reproducibility checklist."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.cards import write_cards, write_checklist

tables, said = snakemake.input.tables, {"study": snakemake.params.study}
facts = {**snakemake.params.facts, "data": snakemake.params.data}
write_cards(tables, snakemake.output.cards, data=facts["data"], licence=facts["licence"], **said)
write_checklist(tables, snakemake.output.checklist, facts=facts, **said)
