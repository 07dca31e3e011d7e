"""The only code that knows submitit and Slurm: who controls a study, how it is started again, how a sweep is run.

`scheduler` asks Slurm; `guard` keeps two controllers apart; `controller` submits and restarts one; `sweep` runs many
equal tasks. Importing this folder loads neither submitit nor Snakemake.
"""
