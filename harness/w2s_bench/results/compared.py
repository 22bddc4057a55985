"""Two cells of one row side by side: `identical`, `within tolerance` or `DIFFERS`, and where they first part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from w2s_bench.record import canonical_json, digest_of, unpack_bits
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.references import PluginRef
from w2s_bench.results.seed_results import LATER, RELIABILITY, SeedResult

Verdict = Literal["identical", "within tolerance", "DIFFERS"]

#: How many tolerances of the suite the finer figures may be apart: they rest on fewer items than an accuracy does, and
#: answers that change in both directions leave it as it was.
SLACK: Final = 5
#: What a cell has digests of, in the order of the stages that make them.
STAGES: Final = ("teacher", "weak_labels", "kept", "student")


@dataclass(frozen=True)
class Verified:
    """One row's verdict; `why` says what differs, or which seeds failed both times; empty where there is nothing to say.

    `failed`: the row as published or as computed now has a failed seed. A row that fails again as it did is reproduced,
    but it is no result. `elsewhere` says what made the machine or the versions others than the cell's; `computed` is
    False where nothing could be computed, and for pages.
    """

    row: str
    verdict: Verdict
    why: str = ""
    failed: bool = False
    elsewhere: str = ""
    computed: bool = False

    @property
    def ok(self) -> bool:
        return self.verdict != "DIFFERS" and not self.failed


def compare(committed: Cell, computed: Cell, tolerance: float, *, exact: bool = False) -> Verified:
    """`identical`: equal bodies, which is demanded where `exact`. `within tolerance`: as on another machine or with another
    library, seed by seed

    - the same suite, protocol, generation, domain, models, arm, items and plugin source;
    - the same seeds, failed for the same reason or not at all; the same `kept`, `shortfall` and `coverage`;
    - accuracies at most `tolerance` apart;
    - at most `SLACK` · `tolerance` of the items answered right in one and wrong in the other;
    - purity, accuracies by stratum and every figure among the diagnostics at most `SLACK` · `tolerance` apart.

    Anything else `DIFFERS`. Digests of labels, rows and weights may differ, and it is said at which stage they first do.
    Diagnostics that a committed cell was made before (`LATER`) are not compared.
    """
    computed = _without_later(committed, computed)
    failed = bool(committed.body.failed or computed.body.failed)
    if committed.digest == computed.digest:
        again = "; ".join(f"seed {s.seed} failed both times: {s.error}" for s in committed.body.failed)
        return Verified(committed.row, "identical", again, failed)
    differences = list(_differences(committed.body, computed.body, tolerance))
    differences = differences or [_Difference("equal figures, written otherwise", True)]
    verdict: Verdict = "within tolerance" if all(difference.tolerable for difference in differences) else "DIFFERS"
    told = [difference.text for difference in differences]
    if exact and verdict == "within tolerance":
        verdict = "DIFFERS"
        told.insert(0, "made with the same packages on no other machine, where a rerun is identical")
    return Verified(committed.row, verdict, "; ".join(told), failed)


def _without_later(committed: Cell, computed: Cell) -> Cell:
    """The computed cell without those of `LATER` that no seed of the committed one has."""
    later = {name for name in LATER if not any(name in seed.diagnostics for seed in committed.body.seeds)}
    if not any(later & seed.diagnostics.keys() for seed in computed.body.seeds):
        return computed
    seeds = tuple(
        seed.model_copy(update={"diagnostics": {k: v for k, v in seed.diagnostics.items() if k not in later}})
        for seed in computed.body.seeds
    )
    return Cell.of(computed.body.model_copy(update={"seeds": seeds}), computed.provenance)


@dataclass(frozen=True)
class _Difference:
    text: str
    tolerable: bool = False


def _differences(old: CellBody, new: CellBody, tolerance: float) -> Iterator[_Difference]:
    """What differs, identity first, then seed by seed; failures that came again are told too."""
    was, now = _identity(old), _identity(new)
    yield from (_Difference(f"{name} was {was[name]}, is {now[name]}") for name in was if was[name] != now[name])
    before, after = {s.seed: s for s in old.seeds}, {s.seed: s for s in new.seeds}
    if before.keys() != after.keys():
        yield _Difference(f"seeds were {_listed(before)}, are {_listed(after)}")
    same_items = was["items"] == now["items"]
    for seed in sorted(before.keys() & after.keys()):
        for difference in _seed_differences(before[seed], after[seed], old.items if same_items else None, tolerance):
            yield _Difference(f"seed {seed}: {difference.text}", difference.tolerable)


def _reason(error: str | None) -> str | None:
    """A failed seed's reason, whichever of the stages that need what has failed came to it first."""
    return error and (error.partition(" failed: ")[2] or error)


def _seed_differences(a: SeedResult, b: SeedResult, items: int | None, tolerance: float) -> Iterator[_Difference]:
    """`items`: how many the bits of both are of; None where they are of different ones."""
    if a.error or b.error:
        same = _reason(a.error) == _reason(b.error)  # a run looks at models before it fails, verification does not
        yield _Difference(
            f"failed both times: {a.error}" if same else f"{a.error or 'no error'} before, {b.error or 'no error'} now",
            same,
        )
        return
    assert a.accuracy is not None and a.correct is not None  # as the schema has it where there is no error
    assert b.accuracy is not None and b.correct is not None
    yield from _apart("accuracy", a.accuracy, b.accuracy, tolerance)
    if a.correct != b.correct and items is not None:
        other = int((unpack_bits(a.correct, items) != unpack_bits(b.correct, items)).sum())
        text = f"{other} of {items} items are answered right in one and wrong in the other"
        yield _Difference(text, _within(other / items, 0.0, SLACK * tolerance))
    for name in ("kept", "shortfall", "coverage"):
        if getattr(a, name) != getattr(b, name):
            yield _Difference(f"{name} {getattr(a, name)} before, {getattr(b, name)} now")
    before, after = _finer_figures(a), _finer_figures(b)
    for name in [*before, *(name for name in after if name not in before)]:
        yield from _apart(name, before.get(name), after.get(name), SLACK * tolerance)
    if parted := [name for name in _in_order({*a.digests, *b.digests}) if a.digests.get(name) != b.digests.get(name)]:
        first, *others = parted
        text = f"departs at {first} ({_digits(a.digests.get(first))} before, {_digits(b.digests.get(first))} now)"
        text += f", and so do {', '.join(others)}" if others else ""
        yield _Difference(text, a.digests.keys() == b.digests.keys())
    elif a.kept_rows != b.kept_rows:
        yield _Difference("kept_rows are others, of the same digest of what is kept")
    elif a.correct != b.correct:
        yield _Difference(f"departs at answers ({_of_bits(a)} before, {_of_bits(b)} now)", True)


def _in_order(digests: Iterable[str]) -> list[str]:
    """Names of digests as their stages follow each other; those of others come last."""
    at = {name: rank for rank, name in enumerate(STAGES)}
    return sorted(digests, key=lambda name: (at.get(name, len(at)), name))


def _digits(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def _of_bits(result: SeedResult) -> str:
    return digest_of(result.correct)[:12]


def _apart(name: str, old: Any, new: Any, bound: float) -> Iterator[_Difference]:
    """Nothing where the two are equal; numbers may be `bound` apart, anything else must be equal."""
    if old == new:
        return
    if all(isinstance(value, int | float) for value in (old, new)):
        digits = 4 if f"{old:.4f}" != f"{new:.4f}" else 9
        text = f"{name} {old:.{digits}f} before, {new:.{digits}f} now"
        yield _Difference(text, _within(old, new, bound))
    else:
        yield _Difference(f"{name} {old} before, {new} now")


def _within(old: float, new: float, bound: float) -> bool:
    return abs(old - new) <= bound + 1e-9  # 0.62 - 0.60 is a little more than 0.02


def _finer_figures(result: SeedResult) -> dict[str, Any]:
    """Name → what is compared with the wider bound; mappings and lists are taken apart."""
    figures: dict[str, Any] = {"purity": result.purity}
    for name, value in {"by_stratum": result.by_stratum, **result.diagnostics}.items():
        if (
            name != RELIABILITY
        ):  # one score that is a little other moves a row from bin to bin; `ece` says what it comes to
            figures |= dict(_figures_in(name, value))
    return figures


def _figures_in(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What stands in mappings and lists, each by its own name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _figures_in(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _figures_in(f"{name}.{at}", inner)
    else:
        yield name, value


def _listed(seeds: Mapping[int, SeedResult]) -> str:
    return ", ".join(map(str, sorted(seeds))) or "none"


def _identity(body: CellBody) -> dict[str, str]:
    """What two cells must share for their accuracies to be comparable."""

    def maker(plugin: PluginRef | None) -> str:
        return f"{plugin.distribution} {plugin.version} {plugin.source[:12]}" if plugin else "none"

    return {
        "suite": f"{body.suite.name} {body.suite.version} {body.suite.evaluate_on} {body.suite.digest[:12]}",
        "protocol": body.protocol,
        "generation": str(body.generation),
        "chain": canonical_json(body.chain.model_dump(mode="json")) if body.chain else "none",
        "domain": f"{body.domain.name} {body.domain.version} {body.domain.fingerprint[:12]}",
        "trust set": body.trust_from or "its own",
        "teacher": f"{body.teacher.name} {body.teacher.fingerprint[:12]}",
        "student": f"{body.student.name} {body.student.fingerprint[:12]}",
        "arm": canonical_json(body.arm.model_dump(mode="json")),
        "items": f"{body.items} {body.items_digest[:12]}",
        "clusters of items": f"{body.clusters.count} {digest_of(body.clusters.codes)[:12]}"
        if body.clusters
        else "none",
        "plugin": maker(body.plugin),
        "objective's plugin": maker(body.objective_plugin),
    }
