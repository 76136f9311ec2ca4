"""Does a model fit a machine? GPU memory of serving and of tuning, from the model's geometry."""
