"""alertgrid: which vision model should filter the alerts of a sky survey, and what does pre-training buy?

Alerts come in through `sources`, become one file in `dataset`, and are divided in `splits`. `grid` says what is
compared. `encoders`, `weights`, `models`, `pretraining` and `training` turn a line of the grid into a folder of
results; `metrics`, `policies`, `comparison`, `tables`, `figures` and `page` turn all such folders into a report.
Nothing here knows Snakemake or the configuration: arguments in, files or values out.
"""

__version__ = "0.1.0"
