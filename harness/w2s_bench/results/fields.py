"""What the fields of files of results may be: shares, counts of rows, texts, digests."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]
Rows = Annotated[int, Field(ge=0, strict=True)]
Text = Annotated[str, Field(max_length=4000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """Refuses keys that it does not know; what was read stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
