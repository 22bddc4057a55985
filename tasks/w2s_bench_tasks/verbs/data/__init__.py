"""The task: its YAML, its items, and the loader that lm-eval calls."""
