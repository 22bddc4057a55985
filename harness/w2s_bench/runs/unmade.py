"""What is known of a domain's documents before its items are made: how many there are, and how long a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from w2s_bench.names import BUILT_IN

if TYPE_CHECKING:
    from w2s_bench.domains.documents import Count
    from w2s_bench.plugins.registry import Registry


class Unmade:
    """Domains by their documents, where these were read to plan a run (`counts`), else bundled ones by their files."""

    def __init__(self, counts: Mapping[str, Count]) -> None:
        self.counts = counts

    def count(self, named: Mapping[str, Any]) -> Count | None:
        """Of the domain that a stage's parameters name. None where nobody knows: what a line of somebody else's file comes to,
        their loader decides."""
        from w2s_bench.domains.documents import key_of
        from w2s_bench.domains.task import TaskDomain
        from w2s_bench.domains.unread import counted

        known = self.counts.get(key_of(named["name"], named["parameters"]))
        if known is not None or not named["name"].startswith(f"{BUILT_IN}/"):
            return known
        domain = self._built_in.domain(named["name"], **named["parameters"])
        return counted(domain) if isinstance(domain, TaskDomain) else None

    @cached_property
    def _built_in(self) -> Registry:
        from w2s_bench.plugins.registry import Registry

        return Registry.load(())
