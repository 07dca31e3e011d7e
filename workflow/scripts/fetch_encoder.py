"""Hub file at a pinned revision -> encoder folder."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.hub import fetch_encoder, hub_source

fetch_encoder(snakemake.params.folder, hub_source(snakemake.params.hub, snakemake.wildcards.architecture))
