"""How is one run of the grid trained, stopped, continued and recorded?

`recipe` holds the values, `selection` the rows, `data` the batches, `augment` the symmetries, `randomness` all chance,
`step` and `loop` the training, `fusion` the frozen branches, `hardware` and `interrupts` what comes from outside,
`records` what stays; `run` puts them together.
"""

from .data import Data, load_data
from .interrupts import EXIT_STATUS, Interrupted, find_deadline
from .recipe import Recipe
from .run import RunSpec, Sources, summary, train_run
from .selection import limit_alerts, select

__all__ = [
    "EXIT_STATUS",
    "Data",
    "Interrupted",
    "Recipe",
    "RunSpec",
    "Sources",
    "find_deadline",
    "limit_alerts",
    "load_data",
    "select",
    "summary",
    "train_run",
]
