"""Settings -> simulated galaxies with their morphology, one HDF5 file."""

import sys

sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)

from alertgrid.sources.simulation.corpus import write_corpus

settings = dict(snakemake.params.settings)
settings.pop("source")
write_corpus(snakemake.output[0], **settings)
