"""The first things on a page: what the board shows and what it does not, who is first, what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from w2s_bench.arm_facts import OwnRole
from w2s_bench.controls import of_role
from w2s_bench.results.board import DomainSummary, Leaderboard
from w2s_bench.results.checks import CHECKS
from w2s_bench.results.pages.standing import (
    attested_in_words,
    description,
    did_not_come_again,
    signed_in_words,
    standing,
)
from w2s_bench.results.pages.style import count, figure, number
from w2s_bench.results.pages.warnings import Warned, warnings
from w2s_bench.text import one_line


@dataclass(frozen=True)
class CheckLine:
    """A check in words, and for each domain a sign, the sign in words, and the figure."""

    words: str
    domains: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Overview:
    sentence: str
    description: str
    verified: str
    signed: str
    differ: tuple[str, ...]
    standing: tuple[Markup, ...]
    warnings: tuple[Warned, ...]
    controls: tuple[tuple[str, str], ...]
    references: tuple[tuple[str, str], ...]
    checks: tuple[CheckLine, ...]


def overview(board: Leaderboard) -> Overview:
    """In words that the templates escape; names in `standing` are escaped here, since they stand in bold."""

    def bold(arm: str) -> str:
        return Markup("<strong><bdi>{}</bdi></strong>").format(one_line(arm))

    def own(role: OwnRole) -> tuple[tuple[str, str], ...]:
        return tuple((arm.name, arm.words) for arm in of_role(role))

    return Overview(
        sentence=_sentence(board),
        description=description(board),
        verified=attested_in_words(board),
        signed=signed_in_words(board, one_line),
        differ=did_not_come_again(board),
        standing=tuple(Markup(said) for said in standing(board, bold)),  # our words; names are escaped above
        warnings=tuple(warnings(board, one_line, "“Failed seeds” below")),
        controls=own("control"),
        references=own("reference"),
        checks=tuple(
            CheckLine(check.words, tuple(_checked(domain, check.name) for domain in board.domains)) for check in CHECKS
        ),
    )


def _sentence(board: Leaderboard) -> str:
    models = count(len(dict.fromkeys((d.teacher, d.student) for d in board.domains)), "pair") + " of models"
    return (
        "This board shows how much of the gap between a weak teacher (PGR 0) and the same strong student trained on ground "
        f"truth (PGR 1) each way of choosing the teacher’s labels closed, on {count(len(board.domains), 'domain')}, "
        f"{models} and {count(len(board.seeds), 'seed')}; it does not show what holds for other domains, models or sizes, nor "
        "which of two arms is better where no paired test tells them apart."
    )


def _checked(domain: DomainSummary, name: str) -> tuple[str, str, str]:
    check = domain.checks[name]
    sign, words = {True: ("✓", "shown"), False: ("✗", "not shown"), None: ("–", "cannot be told")}[check.shown]
    if isinstance(check.figure, int):
        return sign, words, str(check.figure)
    told = number(check.figure) if isinstance(check.figure, float) else figure(check.figure)
    return sign, words, "" if told == sign else told
