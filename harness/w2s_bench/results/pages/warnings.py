"""What a reader must know before any figure of a board: dev figures, few seeds, gaps, suspects, mixed versions, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from w2s_bench.controls import CEILING, WEAK
from w2s_bench.results.board import FEWEST_SEEDS, DomainSummary, Leaderboard
from w2s_bench.results.checks import to_audit
from w2s_bench.results.pages.style import count, figure, number
from w2s_bench.text import shortened


@dataclass(frozen=True)
class Warned:
    """A warning: its gist, and what it says."""

    title: str
    text: str


def warnings(board: Leaderboard, name: Callable[[str], str], failed_seeds: str) -> list[Warned]:
    """The warnings in their order; `name` writes text from outside as the page needs it, `failed_seeds` where they stand."""
    warned = []
    if board.suite.evaluate_on == "dev":
        warned.append(
            Warned(
                "DEV FIGURES, NOT RESULTS.",
                "This suite is evaluated on `dev`, the split its settings are chosen on; nothing here may be compared with a "
                "leaderboard.",
            )
        )
    if (few := few_seeds(board)) is not None:
        warned.append(few)
    for domain in board.domains:
        warned += _of_domain(domain, name)
    warned += _suspects(board, name)
    for row in board.rows:
        if len(row.plugins) > 1:
            mixed = "; ".join(map(name, row.plugins))
            warned.append(Warned(f"Row {name(row.arm)} mixes versions of its plugin:", f"{mixed}."))
    elsewhere: dict[str, list[str]] = {}
    for row in board.rows:
        for what in row.made_elsewhere:
            elsewhere.setdefault(what, []).append(name(row.arm))
    for what, arms in elsewhere.items():
        told = f"({name(shortened(what, 300))}). Accuracies may be the suite's tolerance apart."
        warned.append(Warned(f"Made elsewhere: {', '.join(arms)}", told))
    if failed := sum(len(f.rows) for f in board.failures if not f.not_applicable):
        warned.append(Warned("Seeds failed", f"({failed} over all rows); see {failed_seeds}."))
    return warned


def few_seeds(board: Leaderboard) -> Warned | None:
    """Of a board that has too few seeds to rank by."""
    if board.ranks:
        return None
    few = "are over test items alone" if len(board.seeds) == 1 else "are wide and cover less than they say"
    said = f"With {len(board.seeds)} the intervals {few}; take no ranking from them."
    return Warned(f"Fewer than {FEWEST_SEEDS} seeds.", said)


def _of_domain(d: DomainSummary, written: Callable[[str], str]) -> Iterator[Warned]:
    name = written(d.name)
    if d.gap is None:
        absent = [arm for arm in (WEAK, CEILING) if arm not in d.references]
        why = (
            f"there is no cell of {' and '.join(absent)}"
            if absent
            else f"{WEAK} and {CEILING} have fewer than two seeds in common"
        )
        yield Warned(f"No PGR in {name}:", f"{why}.")
    elif not d.resolved:
        yield Warned(
            f"Gap unresolved in {name}:",
            f"ceiling − weak is {figure(d.gap, 3)}; no PGR is given and means leave it out.",
        )
    elif d.left_out:
        yield Warned(f"Means leave {name} out:", f"{d.left_out} (ceiling − weak is {figure(d.gap, 3)}).")
    short_of = d.checks["oracle_shortfall"].figure
    if isinstance(short_of, int) and short_of > 0:
        yield Warned(
            f"Coverage exceeds the weak labels' accuracy in {name}",
            f"({number(d.label_accuracy, 3)}): oracle is short of {count(short_of, 'row')}, and even a perfect trust function "
            "must keep wrong labels.",
        )


def _suspects(board: Leaderboard, written: Callable[[str], str]) -> Iterator[Warned]:
    """Trust functions that are better than any that sees no gold of the pool is expected to be: one warning per function."""
    found: dict[str, dict[str, str]] = {}
    for domain in board.domains:
        for arm, why in domain.suspects.items():
            found.setdefault(arm, {})[written(domain.name)] = why
    for arm, where in found.items():
        said = "; ".join(where.values() if len(where) == 1 else (f"in {name} {why}" for name, why in where.items()))
        yield Warned(
            f"{written(arm)} knows too much in {', '.join(where)}:",
            f"{said}. Its track is not privileged. `{to_audit(arm, 'suite.yaml')}`, in this folder, tells whether gold of the pool "
            "reaches it. Where none does, the cause is innocent: a student that knows the answers once it is asked, or strata and "
            "items that tell them.",
        )
