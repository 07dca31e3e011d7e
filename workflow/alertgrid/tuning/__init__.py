"""Which recipe and network settings are best for an architecture? Optuna's search, many trials at once, resumable.

Trials are kept in one journal file, which works on a shared disk without a database server. Each worker (a task of a
Slurm array, or a process on a laptop) asks the journal for its next trial. A trial that was interrupted is replaced by
one with the same settings and the same folder, so that its training goes on from its checkpoint. So is one that failed,
at the next start of the search: the reason (a GPU that was taken, a full disk) may have passed.

`search_space` checks what may be searched, before any job and without torch; `journal` keeps trials, `worker` runs
them, `search` has workers run until all are done, `results` writes what was found; `command` searches with real
trainings, and `searches` tells how far they are.
"""
