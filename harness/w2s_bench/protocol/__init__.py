"""Protocol `w2s-1`, one file an arrow. Read it down: items, splits, training, prediction, evidence, trust, selection, evaluation;
`generation` joins them to a graph for one domain and seed, `arms` hangs the ways of choosing on it.

No executor, no results page and no command line may enter.
"""
