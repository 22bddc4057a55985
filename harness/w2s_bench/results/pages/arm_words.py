"""What an arm's student trains on, in words that need no knowledge of its name: each kind of arm that a cell can have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from w2s_bench.controls import OWN_ARMS, made_of
from w2s_bench.names import short
from w2s_bench.results.cells import CellBody
from w2s_bench.results.references import ArmRef
from w2s_bench.types import Selection

#: Selection → which rows it keeps by trust scores, as the end of a sentence.
SELECTIONS: Final[Mapping[Selection, str]] = MappingProxyType(
    {
        "top": "those of highest score",
        "balanced": "the highest scores of each class of weak labels, equally many of each",
        "stratified": "the highest scores of each stratum, as many as its share of the pool",
        "diverse": "of the half that is highest, the rows whose prompts stand for it best (facility location)",
        "weighted": "every row, with a weight in proportion to the rank of its score",
    }
)
#: Track → what its trust functions may learn from.
_LEARNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "none": "it learns from no gold label",
        "trust_set": "it may learn from the gold labels of the trust set",
        "privileged": "it may use gold labels of the pool or an outside verifier",
    }
)


def arm_in_words(ref: ArmRef) -> str:
    """A sentence without its full stop; names stand between backticks."""
    plain = ref.plain
    if ref.is_other_objective:
        told = f"The rows of the arm `{plain}`, learned by the objective `{ref.objective}` in place of the suite's own"
        within = _rows(ref, plain)
        return f"{told}. {within[0].upper()}{within[1:]}"
    own = OWN_ARMS.get(plain)
    if own is not None and own.role == "reference":
        return own.words.capitalize()
    return f"A student that trains on {_rows(ref, plain).removeprefix('it trains on ')}"


def _rows(ref: ArmRef, plain: str) -> str:
    """`it trains on …`, of the arm without its objective."""
    own, made = OWN_ARMS.get(plain), made_of(plain)
    if own is not None:
        return f"it trains on {own.words}" if own.role == "control" else f"it is {own.words}"
    if made is not None:
        return f"it trains on {made[0].words}. The arm is `{made[1]}`"
    function, selection = short(ref.trusts or ref.trust_function or plain), ref.selection or "top"
    share = "" if ref.coverage is None or selection == "weighted" else f" {100 * ref.coverage:.3g} % of"
    kept = SELECTIONS[selection]
    return (
        f"it trains on{share} the teacher's labels of the pool, chosen by the trust scores of `{function}`: {kept}; "
        f"{_LEARNS[ref.supervision]}"
    )


def generation_in_words(body: CellBody) -> str:
    """Of a cell that is one generation of a chain: which, of how many, who teaches whom."""
    assert body.chain is not None
    arm = f"`{short(body.arm.name)}`"
    before = "the weak teacher" if body.generation == 1 else f"the student of generation {body.generation - 1} of {arm}"
    pool = "a part of the pool of its own" if body.chain.pool == "fresh" else "the whole pool"
    return (
        f"Generation {body.generation} of {body.chain.generations} of the chain of {arm}: `{short(body.student.name)}` learns from "
        f"{before}, which labels {pool}; the arm chooses among these labels"
    )
