"""This machine: worker processes, the seats they sit on, and who may sit where. Other places run their jobs through it.

Nothing of a cluster may enter.
"""
