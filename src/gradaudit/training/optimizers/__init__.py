"""Optimizers by name: one function `(weights, learning_rate, weight_decay) -> torch.optim.Optimizer` a file."""
