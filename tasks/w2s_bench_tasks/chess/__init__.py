"""The built-in domain `chess`: verdicts on one white move in a six-piece ending, proved by exact search."""
