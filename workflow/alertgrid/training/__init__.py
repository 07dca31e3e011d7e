"""How is one run of the grid trained, stopped, continued and recorded?

`spec` names a run, `recipe` holds the values, `selection` the rows, `plan` all three, `data` the batches, `augment` the
symmetries, `randomness` all chance; `setup` builds, `step` and `loop` train, `fusion` serves the frozen branches,
`hardware` and `interrupts` say what comes from outside, `records` and `outcome` what stays, `finished` how it is kept;
`run` puts them together, and `pack` trains several runs of a cell in one process.
"""

from .data import Data, load_data
from .interrupts import EXIT_STATUS, Interrupted, find_deadline
from .outcome import summary
from .pack import Pack, train_pack
from .recipe import Recipe
from .run import open_data, train_run
from .selection import limit_alerts, select
from .spec import RunSpec, Sources

__all__ = [
    "EXIT_STATUS",
    "Data",
    "Interrupted",
    "Pack",
    "Recipe",
    "RunSpec",
    "Sources",
    "find_deadline",
    "limit_alerts",
    "load_data",
    "open_data",
    "select",
    "summary",
    "train_pack",
    "train_run",
]
