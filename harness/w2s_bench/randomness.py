"""All randomness of a run, derived from what it is for: (suite seed, domain, seed, stage role)."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_sequence(suite_seed: int, domain: str, seed: int, role: str) -> np.random.SeedSequence:
    """One independent stream for each role; a role never names the arm, so arms are paired."""
    return np.random.SeedSequence([suite_seed, _number(domain), seed, _number(role)])


def derived_seed(suite_seed: int, domain: str, seed: int, role: str) -> int:
    """The same stream as one integer in [0, 2**63), as stage parameters carry it."""
    return int(seed_sequence(suite_seed, domain, seed, role).generate_state(1, np.uint64)[0] >> 1)


def hash_rank(*parts: object) -> str:
    """A key to sort by: uniform, the same everywhere, unrelated to the order of anything."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
