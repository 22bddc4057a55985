"""How a model is tuned and read, one file a recipe. Gold enters as rows to train on and as nothing else."""
