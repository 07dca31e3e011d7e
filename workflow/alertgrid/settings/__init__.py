"""What does the study ask for? Asked by every job before anything else, so nothing heavy is imported here.

`study` merges and checks its settings, `words` and `vocabulary` say what their words fit, `paths` which files they
name.
"""
