"""Optimizers by name: one function `(weights, learning_rate, weight_decay) -> torch.optim.Optimizer` a file.

The schedule moves each group's learning rate from 0 to what the function gave it, and back to 0.
"""
