"""Network of the grid -> size, latency, throughput and memory of its inference."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.timing.measure import time_network

time_network(
    architecture=snakemake.wildcards.architecture,
    inputs=snakemake.wildcards.inputs,
    settings=snakemake.params.models,
    output=snakemake.output.timing,
    record=snakemake.output.machine,
    threads=snakemake.threads,
    **snakemake.params.sweep,
)
