"""Verdicts on chess moves that are learned from a near-sighted search, and graded by an exact one."""
