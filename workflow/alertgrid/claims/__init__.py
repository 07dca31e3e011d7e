"""Which published claims does a study support? `rules` state when, `table` holds each claim against the results."""
