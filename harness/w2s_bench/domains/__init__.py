"""A domain and its items: any lm-eval task as one, the files it stands on, what is sound in it, how its answers are graded.

No stage and no model may enter.
"""
