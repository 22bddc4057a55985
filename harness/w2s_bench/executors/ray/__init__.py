"""A Ray cluster. Nothing of Slurm may enter."""
