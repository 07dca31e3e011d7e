"""What will the study cost? Runs, jobs, GPU-hours, wall time and disk, before anything is submitted.

From the settings to the text: `sizes` counts alerts and images, `work` lists what there is to do and how much of it,
`recorded` finds what is finished, `rates` says how fast networks train, `estimate` multiplies, `report` tells and
compares with the budget, `command` joins them.
"""
