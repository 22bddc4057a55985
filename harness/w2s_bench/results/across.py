"""Several boards side by side: what each is, and how often a trust function holds up against the controls.

Nothing is estimated here. Differences and their corrected p-values are each board's own; they are counted, and their median taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from w2s_bench.controls import GOLD_TRUST_SET, NAIVE, NAIVE_PLUS_GOLD, ORACLE
from w2s_bench.record import digest_of
from w2s_bench.results.board import MOST_FUNCTIONS, TRACKS, DomainSummary, Leaderboard, Row
from w2s_bench.results.places import first_in_track
from w2s_bench.results.statistics import Estimate, Ratio
from w2s_bench.suite import Suite

#: The controls whose mean PGR is shown of each board.
YARDSTICKS: Final = (NAIVE, NAIVE_PLUS_GOLD, GOLD_TRUST_SET, ORACLE)
#: Those that trust functions are counted against.
AGAINST: Final = (NAIVE, NAIVE_PLUS_GOLD, GOLD_TRUST_SET)
#: Settings on which a trust function must have figures to be shown at once, or more where these would be too many to be read at a
#: glance; those of fewer unfold.
SEVERAL: Final = 3


@dataclass(frozen=True)
class BoardLine:
    """One board. `folder` is its name below the folder of boards; `setting` the folder of the board that stands for all boards of
    its setting, itself where it is the only one.

    `models`: (teacher, student) of its domains, each pair once. `left_out`: domain → why means leave it out. `yardsticks`: control
    → mean PGR. `base`: the mean PGR of the untuned student, None where there is none. `first`: track → the arms that are first or
    tied for it. `functions`: how many trust functions it has; `row`: one of its rows, as `verify` takes it.
    """

    folder: str
    suite: str
    description: str
    domains: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    left_out: Mapping[str, str]
    seeds: int
    evaluate_on: str
    setting: str
    functions: int
    yardsticks: Mapping[str, Ratio]
    base: float | None
    first: Mapping[str, tuple[str, ...]]
    row: str

    @property
    def mean_domains(self) -> tuple[str, ...]:
        return tuple(domain for domain in self.domains if domain not in self.left_out)


@dataclass(frozen=True)
class OnBoard:
    """A trust function on one board: its mean PGR, and control → the mean paired difference to it, with the board's own correction."""

    board: str
    pgr: Estimate
    minus: Mapping[str, Estimate]


@dataclass(frozen=True)
class FunctionLine:
    """A trust function over all settings that have it. `results`: a board a setting, the largest difference to naive first;
    `without`: how many settings have it and no mean of it."""

    arm: str
    track: str
    results: tuple[OnBoard, ...]
    without: int

    def minus(self, rival: str) -> list[Estimate]:
        return [result.minus[rival] for result in self.results if rival in result.minus]

    def above(self, rival: str) -> int:
        """On how many settings it outdoes a control after the board's correction."""
        return sum(e.holds and e.value > 0 for e in self.minus(rival))

    def below(self, rival: str) -> int:
        return sum(e.holds and e.value < 0 for e in self.minus(rival))

    @property
    def median(self) -> float:
        """Of its differences to naive, in PGR units."""
        return median(e.value for e in self.minus(NAIVE))

    @property
    def range(self) -> tuple[float, float]:
        values = [e.value for e in self.minus(NAIVE)]
        return min(values), max(values)


@dataclass(frozen=True)
class Across:
    """`boards` by folder; `functions` by track, then the highest median first, those without any figure last."""

    boards: tuple[BoardLine, ...]
    functions: tuple[FunctionLine, ...]

    @property
    def settings(self) -> tuple[str, ...]:
        """A board each, of those whose figures are results: on `dev` items settings were chosen."""
        return tuple(dict.fromkeys(b.setting for b in self.boards if b.evaluate_on == "test"))

    @property
    def least(self) -> int:
        """Settings on which the functions that are shown at once have figures."""
        most = max((len(function.results) for function in self.functions), default=SEVERAL)
        enough = (least for least in range(SEVERAL, most) if len(self.on(least)) <= MOST_FUNCTIONS)
        return next(enough, max(most, SEVERAL))

    @property
    def shown(self) -> tuple[FunctionLine, ...]:
        """The functions that are shown at once."""
        return self.on(self.least)

    def on(self, least: int, most: int | None = None) -> tuple[FunctionLine, ...]:
        """The functions with figures on so many settings."""
        return tuple(f for f in self.functions if least <= len(f.results) <= (len(f.results) if most is None else most))


def build_across(boards: Mapping[str, tuple[Suite, Leaderboard]]) -> Across:
    """Folder → the suite and the board in it, all together."""
    together: dict[str, list[str]] = defaultdict(list)
    for folder in sorted(boards):
        together[_setting_of(boards[folder][0])].append(folder)
    # The most trust functions, so that a difference holds by the strictest correction of its setting.
    order = {
        key: sorted(own, key=lambda folder: (-_functions(boards[folder][1]), folder)) for key, own in together.items()
    }
    stands_for = {folder: own[0] for own in order.values() for folder in own}
    lines = tuple(_board_line(folder, boards[folder][1], stands_for[folder]) for folder in sorted(boards))
    settings = [
        [(folder, boards[folder][1]) for folder in own]
        for own in order.values()
        if boards[own[0]][0].evaluate_on == "test"
    ]
    return Across(lines, tuple(sorted(_function_lines(settings), key=_order)))


def _setting_of(suite: Suite) -> str:
    """What the one-hop rows of a suite hang on: suites that differ in names, arms, objectives, diagnostics or what lies between teacher
    and student alone have the same students of the same arms."""
    content = suite.model_dump(
        mode="json", include={"protocol", "seed", "seeds", "evaluate_on", "coverage", "gold_budget"}
    )
    domains = [domain.model_dump(mode="json", exclude={"chain", "pool"}) for domain in suite.domains]
    return digest_of(content | {"domains": sorted(domains, key=lambda domain: str(domain["name"]))})


def _functions(board: Leaderboard) -> int:
    return sum(not row.is_control for row in board.rows)


def _board_line(folder: str, board: Leaderboard, setting: str) -> BoardLine:
    rows = {row.arm: row for row in board.rows}
    return BoardLine(
        folder=folder,
        suite=board.suite.name,
        description=board.description,
        domains=tuple(domain.name for domain in board.domains),
        models=tuple(dict.fromkeys(map(_models, board.domains))),
        left_out={domain.name: domain.left_out for domain in board.domains if domain.left_out},
        seeds=len(board.seeds),
        evaluate_on=board.suite.evaluate_on,
        setting=setting,
        functions=_functions(board),
        yardsticks={arm: rows[arm].mean_pgr for arm in YARDSTICKS if arm in rows},
        base=None if board.untuned is None else board.untuned.pgr.value,
        first={track: first for track in TRACKS if (first := first_in_track(board.rows, track))},
        row=next((entry.row for row in board.rows for entry in row.entries.values()), ""),
    )


def _models(domain: DomainSummary) -> tuple[str, str]:
    """Teacher and student without their fingerprints, which a board writes behind their names."""
    return domain.teacher.rpartition(" (")[0], domain.student.rpartition(" (")[0]


def _function_lines(settings: Iterable[list[tuple[str, Leaderboard]]]) -> list[FunctionLine]:
    """`settings`: the boards of each, the one that stands for it first; a function that this one lacks is the next one's."""
    found: dict[tuple[str, str], list[OnBoard]] = {}
    without: dict[tuple[str, str], int] = defaultdict(int)
    for boards in settings:
        rows: dict[tuple[str, str], tuple[str, Row]] = {}
        for folder, board in boards:
            for row in board.rows:
                if not row.is_control:
                    rows.setdefault((row.track, row.arm), (folder, row))
        for key, (folder, row) in rows.items():
            results, result = found.setdefault(key, []), _on_board(folder, row)
            if result is None:
                without[key] += 1
            else:
                results.append(result)
    return [
        FunctionLine(
            arm, track, tuple(sorted(results, key=lambda r: (-r.minus[NAIVE].value, r.board))), without[track, arm]
        )
        for (track, arm), results in found.items()
    ]


def _on_board(folder: str, row: Row) -> OnBoard | None:
    """None where the board has no mean of it, or none of its difference to naive."""
    minus = {rival: r for rival in AGAINST if isinstance(r := row.mean_minus.get(rival), Estimate)}
    if NAIVE not in minus or not isinstance(row.mean_pgr, Estimate):
        return None
    return OnBoard(folder, row.mean_pgr, minus)


def _order(function: FunctionLine) -> tuple[int, bool, float, str]:
    place, empty = TRACKS.index(function.track), not function.results
    return place, empty, 0.0 if empty else -function.median, function.arm
