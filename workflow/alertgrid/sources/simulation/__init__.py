"""A sky made with GalSim, observed as ZTF would: the embedded source of alerts, and a corpus of galaxies.

From the sky down: `events` draws a source with its light curve (`lightcurves`) into a `scene` of stars and `galaxies`;
`survey` says when it is visited and how well; `imaging` and `optics` make the pixels and `defects` spoils some;
`photometry` measures them; `observation` gathers a source's alerts and `reader` hands them on. `corpus` makes labelled
galaxies for pre-training.
"""

from alertgrid.sources.simulation.reader import inputs, read

__all__ = ["inputs", "read"]
