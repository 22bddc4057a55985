"""What one seed of a cell gave: its figures, and the names of its diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field, field_validator, model_validator

from w2s_bench.record import pack_bits, unpack_bits
from w2s_bench.results.fields import Digest, Rate, Rows, Strict, Text
from w2s_bench.results.figures import is_purity_at, is_rate, is_reliability, is_whole, refuse_impossible, shown
from w2s_bench.types import JSON, BoolArray

#: A diagnostic of the teacher: AUROC of its own label probability against the correctness of its labels of the pool.
LABEL_PROBABILITY_AUROC: Final = "label_probability_auroc"
#: Diagnostics of trust scores: AUROC over the pairs of rows of one label, or of one stratum.
WITHIN_LABEL: Final = "auroc_within_label"
WITHIN_STRATUM: Final = "auroc_within_stratum"
#: Diagnostics that are shares by name: of each stratum, of each label, and of each quarter of the pool by the length of labels or by
#: how hard its items are, what was kept. The latter two are of suites that ask for full diagnostics.
KEPT_BY_STRATUM: Final = "kept_by_stratum"
KEPT_BY_LABEL: Final = "kept_by_label"
KEPT_BY_LENGTH: Final = "kept_by_length"
KEPT_BY_DIFFICULTY: Final = "kept_by_difficulty"
#: Why there is no difficulty to say of the latter.
NO_DIFFICULTY: Final = "no_difficulty"
KEPT_BY: Final = (KEPT_BY_STRATUM, KEPT_BY_LABEL, KEPT_BY_LENGTH, KEPT_BY_DIFFICULTY)
#: Diagnostics that cells made today may have where older ones of the same row have none: they used to be told of pools alone whose
#: items all offer the same options, and are now told where the items of each stratum do.
LATER: Final = (WITHIN_LABEL, KEPT_BY_LABEL)

#: Diagnostics over all coverages, of a suite that asks for them: see `statistics.selective`.
OVER_COVERAGES: Final = ("auprc_right", "auprc_wrong", "aurc", "e_aurc", "augrc", "brier", "ece")
#: The same over coverages and scores, as curves: the share of right labels among the most trusted at each tenth of coverage, and
#: how often labels of a score are right, where scores are probabilities.
PURITY_AT: Final = "purity_at"
RELIABILITY: Final = "reliability"
#: A diagnostic of a selection with a guarantee that kept something: the purity that is guaranteed.
CERTIFIED_PURITY: Final = "certified_purity"

#: Diagnostics of a domain whose training gold is not what grades. Of the teacher: the share of the pool's training gold that is
#: right. Of an arm: the share of its kept labels that training gold has too; and of the rows kept, dropped and all of the pool (as
#: rows drawn blindly have it), the share whose label differs from training gold and is right, and the share of labels right among
#: those that differ.
TRAINING_GOLD_ACCURACY: Final = "training_gold_accuracy"
TRAINING_PURITY: Final = "training_purity"
BETTER: Final = ("better_kept", "better_dropped", "better_pool")
RIGHT_WHERE_DIFFERENT: Final = (
    "right_where_different_kept",
    "right_where_different_dropped",
    "right_where_different_pool",
)

#: Diagnostics that are numbers from 0 to 1, or None.
RATES: Final = (
    *("auroc", WITHIN_LABEL, WITHIN_STRATUM, "label_accuracy", LABEL_PROBABILITY_AUROC),
    *(CERTIFIED_PURITY, *OVER_COVERAGES),
    *(TRAINING_GOLD_ACCURACY, TRAINING_PURITY, *BETTER, *RIGHT_WHERE_DIFFERENT),
)


class KeptRows(Strict):
    """Which rows of a pool of `pool` rows are kept: `bits` packs one a row, rows sorted by id (`record.pack_bits`)."""

    pool: Annotated[int, Field(ge=1, strict=True)]
    bits: str

    @model_validator(mode="after")
    def _are_bits(self) -> KeptRows:
        bits = self.array()
        if pack_bits(bits) != self.bits:
            raise ValueError(f"bits of {self.pool} rows are written otherwise than pack_bits writes them")
        return self

    def array(self) -> BoolArray:
        """(pool,) whether each row is kept."""
        return unpack_bits(self.bits, self.pool)


class SeedResult(Strict):
    """What one seed gave. `correct` packs one bit an item of the evaluated split, items sorted by id (`record.pack_bits`).

    `accuracy` … are None where the seed failed, and `error` says why. `kept`, `purity` and `coverage` describe the rows
    the student trained on (None for weak and base); `shortfall` is how many rows an arm lacked of what it was asked for.
    `abstained`: why a selection with a guarantee kept nothing; accuracy is that of the untuned student then, and no PGR is of it.
    `kept_rows`: which rows of the pool the student trained on, where the suite asks for full diagnostics.
    """

    seed: Rows
    error: Text | None = None
    abstained: Text | None = Field(default=None, exclude_if=lambda value: value is None)
    accuracy: Rate | None = None
    correct: str | None = None
    kept: Rows | None = None
    purity: Rate | None = None
    coverage: Rate | None = None
    shortfall: Rows = 0
    by_stratum: Mapping[Text, Rate] = Field(default_factory=dict)
    diagnostics: Mapping[Text, JSON] = Field(default_factory=dict)
    digests: Mapping[Text, Digest] = Field(default_factory=dict)
    kept_rows: KeptRows | None = Field(default=None, exclude_if=lambda value: value is None)

    @field_validator("diagnostics")
    @classmethod
    def _are_figures(cls, diagnostics: Mapping[str, JSON]) -> Mapping[str, JSON]:
        """Those that leaderboards show; others may be any JSON."""
        for name in RATES:
            if name in diagnostics and not (is_rate(diagnostics[name]) or diagnostics[name] is None):
                raise ValueError(f"{name} is {shown(diagnostics[name])}, expected a number from 0 to 1")
        for name in KEPT_BY:
            shares = diagnostics.get(name, {})
            if not isinstance(shares, Mapping) or not all(is_rate(share) for share in shares.values()):
                part = {KEPT_BY_STRATUM: "stratum", KEPT_BY_LABEL: "label"}.get(name, "quarter")
                raise ValueError(f"{name} is {shown(shares)}, expected a number from 0 to 1 for every {part}")
        if not is_purity_at(diagnostics.get(PURITY_AT, {})):
            told = shown(diagnostics[PURITY_AT])
            raise ValueError(
                f"{PURITY_AT} is {told}, expected a number from 0 to 1 for coverages from 0 to 1 in their order"
            )
        if not is_reliability(diagnostics.get(RELIABILITY, [])):
            told = shown(diagnostics[RELIABILITY])
            raise ValueError(
                f"{RELIABILITY} is {told}, expected bins of rows, score and right, the latter two from 0 to 1"
            )
        return diagnostics

    @model_validator(mode="after")
    def _figures_agree(self) -> SeedResult:
        if len({self.error is None, self.accuracy is not None, self.correct is not None}) > 1:
            raise ValueError(f"seed {self.seed} must have accuracy and correct, or else an error")
        figures = (self.kept, self.purity, self.coverage, *self.by_stratum, *self.diagnostics)
        if self.error is not None and any(figure is not None for figure in figures):
            raise ValueError(f"seed {self.seed} failed, and has figures all the same")
        if self.abstained is not None and (self.error is not None or self.kept != 0):
            raise ValueError(f"seed {self.seed} abstained, and has an error or rows kept ({self.kept}) all the same")
        for name in ("purity", "coverage"):
            if getattr(self, name) is not None and self.kept is None:
                raise ValueError(f"seed {self.seed}: {name} {getattr(self, name)} of no rows kept")
        if self.purity is not None and not is_whole(right := self.purity * (self.kept or 0)):
            raise ValueError(
                f"seed {self.seed}: purity {self.purity} of {self.kept} rows kept would be {right:.3f} rows"
            )
        if self.kept_rows is not None and (self.coverage is None or self.error is not None):
            raise ValueError(f"seed {self.seed}: kept_rows of an arm that keeps none of the pool")
        if self.kept_rows is not None and self.coverage is not None:
            rows = int(self.kept_rows.array().sum())
            if abs(self.coverage * self.kept_rows.pool - rows) > 1e-6:
                pool = self.kept_rows.pool
                raise ValueError(f"seed {self.seed}: kept_rows has {rows} of {pool} rows, coverage is {self.coverage}")
        for name in KEPT_BY:
            if (shares := self.diagnostics.get(name)) and self.coverage and self.kept:
                pool = round(self.kept / self.coverage)
                refuse_impossible(shares, self.coverage, pool, f"seed {self.seed}: coverage", name)
        return self
