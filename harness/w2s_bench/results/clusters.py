"""Which test items are of one cluster: those that share a fact, a template or a verb, so that they are right or wrong together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from w2s_bench.record import pack_codes, unpack_codes
from w2s_bench.types import IntArray


class Clusters(BaseModel):
    """`count` clusters; `codes` packs the number of each item's, items sorted by id (`record.pack_codes`).

    Clusters are numbered in the order in which the items first name them, so equal clusterings are equal texts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=2, strict=True)]
    codes: str

    @classmethod
    def of(cls, names: Sequence[Hashable]) -> Clusters:
        """Of each item's cluster by whatever name, items sorted by id."""
        numbers: dict[Hashable, int] = {}
        codes = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        return cls(count=len(numbers), codes=pack_codes(codes, len(numbers)))

    @model_validator(mode="after")
    def _are_numbered(self) -> Clusters:
        try:
            codes = self.array()
        except ValueError as error:
            raise ValueError(f"codes of {self.count} clusters: {error}") from error
        first = np.unique(codes, return_index=True)
        if len(first[0]) != self.count or first[0][-1] != self.count - 1:
            raise ValueError(f"{self.count} clusters are numbered 0 to {self.count - 1}; codes names {len(first[0])}")
        if not (np.diff(first[1]) > 0).all():
            raise ValueError("clusters are numbered in the order in which the items first name them; codes is not")
        return self

    def array(self) -> IntArray:
        """(items,) the number of each item's cluster."""
        return unpack_codes(self.codes, self.count)
