"""Local weights -> encoder folder."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.encoders import encoder_spec
from alertgrid.weights.local import import_encoder

architecture = encoder_spec(snakemake.wildcards.architecture).timm_name
import_encoder(snakemake.params.folder, snakemake.params.path, architecture=architecture, **snakemake.params.facts)
