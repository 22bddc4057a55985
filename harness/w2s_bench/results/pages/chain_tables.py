"""Chains on a leaderboard's page: by generation, beside the one hop, and what each took."""

from __future__ import annotations

from collections.abc import Iterable

from w2s_bench.controls import CEILING, WEAK
from w2s_bench.results.board import ArmChain, Cost, DomainChains, Entry, Leaderboard
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import NONE, difference, figure, learner, number, p_value
from w2s_bench.results.statistics import Estimate, Ratio

_INTRODUCTION = (
    "A chain has models between the weak teacher and the student. In generation 1 the first of them learns from the teacher; in "
    "each later one the model before, as *the same arm* made it, labels pool and trust set anew, the arm chooses anew among these "
    f"labels, and the next model learns. The last is the suite's student. **PGR** is on one scale throughout, the first `{WEAK}` and "
    f"the last student's `{CEILING}`: of a model between, it says where that model's own accuracy lies, and nothing of what the "
    "student could do. *One hop* is the row of the same arm above: the student, straight from the teacher. `naive` chains without "
    "a filter, `oracle` keeps right labels in every generation, and `ceiling` learns from the pool's gold each time, which shows what "
    "each model can do: one whose ceiling lies below the teacher is no rung."
)
_MINUS = (
    "Chain − one hop: paired difference of the last generation to the one hop of the same arm, in PGR units; − naive chain: to "
    "the last generation of `naive`. p is corrected for all arms of a column (Holm); bold where it is below 0.05."
)
_COST = (
    "Steps: optimizer steps of every model trained for the student of one seed, the teacher, itself and a trust function's "
    "verifier among them. Gold labels: distinct items whose ground truth any of these, the trust function or the arm has had. "
    "Processor minutes: all that was computed for all seeds, shared parts included, as the cells have it. No teacher has a part in "
    f"the last generation of `{CEILING}`, so nothing lies behind it but its own training."
)


def chain_blocks(board: Leaderboard, plot: str) -> list[str]:
    """The section's blocks of markdown; none where no domain has a chain. `plot` is the file that shows them."""
    if not board.chains:
        return []
    blocks = ["## Chains", _INTRODUCTION, f"![PGR of every arm's chain, generation by generation]({plot})", _MINUS]
    if board.mean_chains:
        rows = [
            [
                escape(c.arm),
                figure(c.one_hop),
                figure(c.chain),
                tested(c.minus_one_hop, "**"),
                tested(c.minus_naive, "**"),
            ]
            for c in board.mean_chains
        ]
        header = ["mean of domains", "PGR, one hop", "PGR, chain", "chain − one hop", "chain − naive chain"]
        blocks.append(table(header, rows))
    for domain in board.chains:
        blocks += _domain(domain)
    return [*blocks, _COST]


def _domain(domain: DomainChains) -> list[str]:
    ladder = " → ".join(map(escape, domain.ladder))
    pool = (
        "each generation labels and learns from a part of the pool that no other has"
        if domain.pool == "fresh"
        else "every generation labels and learns from the whole pool"
    )
    steps = range(1, len(domain.students) + 1)
    named = [f"generation {n}: {escape(learner(name))}" for n, name in zip(steps, domain.students, strict=True)]
    rows = [
        [
            escape(chain.arm),
            reached(chain.one_hop),
            *map(reached, chain.generations),
            tested(chain.minus_one_hop, "**"),
            tested(chain.minus_naive, "**"),
        ]
        for chain in domain.arms
    ]
    header = ["accuracy, PGR", "one hop", *named, "chain − one hop", "chain − naive chain"]
    return [
        f"### Chains in {escape(domain.domain)}",
        f"{ladder}; {pool}.",
        table(header, rows),
        *_labels(domain),
        table(
            ["whole chain (one hop)", "steps", "gold labels", "processor minutes"],
            [[escape(chain.arm), *_costs(chain)] for chain in domain.arms],
        ),
    ]


def _labels(domain: DomainChains) -> list[str]:
    """How right the labels are that each generation gets, and what the arm keeps of them."""
    shown = [chain for chain in domain.arms if any(_has_labels(entry) for entry in chain.generations)]
    if not shown:
        return []
    steps = range(1, len(domain.students) + 1)
    header = ["labels right (purity of the rows kept)", *(f"generation {step}" for step in steps)]
    return [table(header, [[escape(chain.arm), *map(_purity, chain.generations)] for chain in shown])]


def _has_labels(entry: Entry | None) -> bool:
    return entry is not None and "label_accuracy" in entry.diagnostics


def _purity(entry: Entry | None) -> str:
    if entry is None:
        return NONE
    short = f", {entry.shortfall} rows short" if entry.shortfall else ""
    return f"{number(entry.diagnostics.get('label_accuracy'), 3)} ({number(entry.purity, 3)}{short})"


def reached(entry: Entry | None, unit: str = "") -> str:
    """Accuracy and PGR, which `unit` names where no head does, with the seeds that there are where some failed."""
    if entry is None or entry.accuracy is None:
        return NONE
    lacking = f" ({len(entry.seeds)} of {entry.of_seeds} seeds)" if len(entry.seeds) < entry.of_seeds else ""
    return f"{number(entry.accuracy.value, 3)}, {unit}{figure(entry.pgr)}{lacking}"


def tested(ratio: Ratio | None, strong: str = "") -> str:
    """A paired difference with its p; `strong` stands around one that holds."""
    told = difference(ratio)
    if not isinstance(ratio, Estimate) or ratio.adjusted is None:
        return told
    around = strong if ratio.holds else ""
    return f"{around}{told}{around} {p_value(ratio.adjusted)}"


def _costs(chain: ArmChain) -> Iterable[str]:
    def minutes(cost: Cost) -> str:
        return NONE if cost.cpu_seconds is None else number(cost.cpu_seconds / 60, 1)

    spent, hop = chain.spent, chain.spent_one_hop
    yield f"{spent.steps} ({hop.steps})"
    yield f"{spent.gold_labels} ({hop.gold_labels})"
    yield f"{minutes(spent)} ({minutes(hop)})"
