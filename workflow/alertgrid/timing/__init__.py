"""What does inference cost? `measure` times a network beside the custom CNN, `results` says how the rows are compared.

`settings` is free of torch, for the plan reads it too; `subjects` are what is timed, `stopwatch` is how, and `machine`
says where.
"""
