"""Projected gradients of each seed's sample, and the rows of each arm among them → figures of equally many rows an arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.results.mechanisms import spectra
from w2s_bench.results.mechanisms.facts import ArmGradients, BySeed, Gradients
from w2s_bench.results.mechanisms.spectra import Rows
from w2s_bench.types import FloatArray

#: With fewer rows in the sample an arm is left out, so that it does not make the others' figures those of a handful.
LEAST: Final = 48


@dataclass(frozen=True)
class Sample:
    """One seed. `weak`, `gold` (rows of the sample, d): by whose labels; `places`: id → its row there. `rows`: arm → whose
    labels it trains on, and which rows of the sample, in the order in which they were drawn. `held_out` (m, d): of gold."""

    weak: Rows
    gold: Rows
    places: Mapping[str, int]
    rows: Mapping[str, tuple[str, Sequence[str]]]
    held_out: Rows | None


def of_domain(samples: Sequence[Sample], tracks: Mapping[str, str], *, steps: int = 0) -> Gradients:
    """The figures of every arm that all seeds have; `tracks` gives each one's track, in the order in which arms are shown.

    `steps`: how many the student has taken at which gradients were taken.
    """
    fewest = {arm: min((len(s.rows[arm][1]) for s in samples if arm in s.rows), default=0) for arm in tracks}
    in_all = {arm for arm in tracks if all(arm in sample.rows for sample in samples)}
    left_out = {
        arm: f"{fewest[arm]} of its rows are in the sample, and {LEAST} are the fewest"
        for arm in tracks
        if arm in in_all and fewest[arm] < LEAST
    }
    shown = [arm for arm in tracks if arm in in_all and arm not in left_out]
    counts = tuple(min((len(sample.rows[arm][1]) for arm in shown), default=0) for sample in samples)
    arms = []
    for arm in shown:
        chosen = [_rows(sample, arm, count) for sample, count in zip(samples, counts, strict=True)]
        means = [rows.astype("float64").mean(axis=0) for rows in chosen]
        gold = [None if s.held_out is None else s.held_out.astype("float64").mean(axis=0) for s in samples]
        arms.append(
            ArmGradients(
                arm,
                tracks[arm],
                samples[0].rows[arm][0],
                cosine=_each(spectra.mean_pairwise_cosine, chosen),
                alignment=BySeed(tuple(_aligned(a, b) for a, b in zip(means, gold, strict=True))),
                effective_rank=_each(spectra.effective_rank, chosen),
                stable_rank=_each(spectra.stable_rank, chosen),
                noise_scale=_each(spectra.noise_scale, chosen),
            )
        )
    held_out = min((0 if s.held_out is None else len(s.held_out) for s in samples), default=0)
    width = max((sample.gold.shape[1] for sample in samples), default=0)
    return Gradients(counts, width, held_out, tuple(arms), left_out, steps)


def _rows(sample: Sample, arm: str, count: int) -> Rows:
    labels, ids = sample.rows[arm]
    own = sample.gold if labels == "gold" else sample.weak
    return own[[sample.places[row] for row in ids[:count]]]


def _each(figure: Callable[[Rows], float | None], chosen: Sequence[Rows]) -> BySeed:
    return BySeed(tuple(figure(rows) for rows in chosen))


def _aligned(mean: FloatArray, gold: FloatArray | None) -> float | None:
    return None if gold is None else spectra.cosine(mean, gold)
