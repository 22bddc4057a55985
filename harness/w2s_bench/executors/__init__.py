"""Where stages run. An executor turns a graph of stages into results in a store, and says what happens on the way.

One folder a place; no place may know another, or look into a stage's parameters.
"""

from w2s_bench.executors.events import (
    Ahead,
    Damaged,
    Ended,
    Event,
    Executor,
    Noted,
    Planned,
    Preparing,
    Started,
    Waiting,
    preparing,
)
from w2s_bench.executors.outcomes import Done, Failed, Outcome, label_of

__all__ = [
    "Ahead",
    "Damaged",
    "Done",
    "Ended",
    "Event",
    "Executor",
    "Failed",
    "Noted",
    "Outcome",
    "Planned",
    "Preparing",
    "Started",
    "Waiting",
    "label_of",
    "preparing",
]
