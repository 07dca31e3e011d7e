"""Architecture -> size, latency, throughput and memory of its inference."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.timing import time_architecture

time_architecture(
    architecture=snakemake.wildcards.architecture,
    settings=snakemake.params.models,
    output=snakemake.output.timing,
    record=snakemake.output.machine,
    threads=snakemake.threads,
    **snakemake.params.sweep,
)
