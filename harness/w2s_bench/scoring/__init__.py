"""Somebody's own weak labels: their file → scores of installed trust functions, a filtered training set, and a report.

No suite, no students and no store: `runs` measures trust functions, this room uses them. They see the same evidence as in the
protocol (`protocol.evidence.view`), made from the columns of a file or read of models on the spot. Their code runs in
this process, watched by `isolation.watch`: the data is the user's own, and so is the choice of plugins. The protocol's
processes of a distribution's own keep competitors apart, of whom there are none here.
"""
