"""Hub repository at a pinned revision -> folder of a published model."""

import os
import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

os.environ["HF_HUB_OFFLINE"] = "0"  # jobs are offline otherwise; huggingface_hub reads it when it is imported

from alertgrid.weights.hub import fetch_published
from alertgrid.weights.pins import Pins

source, pins = snakemake.params.source, Pins(snakemake.params.pins)
fetch_published(snakemake.params.folder, source["hub"], source["revision"], pins, source.get("sha256"))
