"""Cells, the statistics of them, and the boards and pages that are made of them: a pure function of files.

No torch, no store and no protocol may enter.
"""
