"""Hub file at a pinned revision -> encoder folder."""

import os
import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

os.environ["HF_HUB_OFFLINE"] = "0"  # jobs are offline otherwise; huggingface_hub reads it when it is imported

from alertgrid.weights.hub import fetch_encoder, hub_source
from alertgrid.weights.pins import Pins

source = hub_source(snakemake.params.hub, snakemake.wildcards.architecture)
fetch_encoder(snakemake.params.folder, source, Pins(snakemake.params.pins))
