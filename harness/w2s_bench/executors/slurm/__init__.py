"""A Slurm cluster, through submitit, with no process that must stay alive. Nothing of Ray may enter."""
