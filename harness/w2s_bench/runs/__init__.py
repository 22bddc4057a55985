"""A suite as a run: planned, refused or previewed, executed, collected into cells, handed to a cluster, verified.

What a stage computes may not enter: that is the protocol's.
"""
