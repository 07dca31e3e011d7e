"""Settings -> simulated galaxies with their morphology, one HDF5 file."""

import sys

from alertgrid.sources.simulation.corpus import write_corpus

if __name__ == "__main__":  # processes that draw beside this one read the script again
    sys.stdout = sys.stderr = open(snakemake.log[0], "w", buffering=1)
    settings = {name: value for name, value in snakemake.params.settings.items() if name != "source"}
    write_corpus(snakemake.output[0], workers=snakemake.threads, **settings)
