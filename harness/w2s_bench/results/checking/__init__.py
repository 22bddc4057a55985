"""What `w2s-bench check` looks for in a results folder, which may be a stranger's; no model is needed, nothing is run."""
