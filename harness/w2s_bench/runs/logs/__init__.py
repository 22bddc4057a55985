"""Loggers: what a run's trainings lose and what its rows come to, told to a tracker of experiments. A file each.

To add one: a file with a class as `base.Logger` says, and its line in `opening.LOGGERS`.
"""
