"""A Ray cluster: every stage a task, which runs in a worker process as on one machine. Nothing of Slurm may enter."""
