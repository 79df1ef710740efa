"""Muon: momentum orthogonalised by Newton-Schulz."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.errors import require

Tensors = list[Tensor] | tuple[Tensor, ...]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def muon(
    weights: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    *,
    momentum: float = 0.95,
    others: float = 1.0,
) -> torch.optim.Optimizer:
    """Muon on the hidden layers' matrices and kernels; SGD with Nesterov momentum on all else (Jordan et al., 2024).

    The first and the last matrix, biases and norms are left to SGD. A kernel (O, I, h, w) counts as the matrix (O, I * h * w). A
    step turns a matrix's Nesterov momentum into the nearest orthogonal one, times sqrt(max(1, rows / columns)), so its length does
    not depend on the gradient's.

    Args:
        weights: what is trained, in the order of the layers.
        learning_rate: of the hidden matrices; above 0. 0.02 to 0.1 is usual.
        weight_decay: 0 or more; decoupled for the hidden matrices, an L2 penalty for the others.
        momentum: of all, in [0, 1).
        others: the others' learning rate as a multiple; above 0.

    Raises:
        InputError: an option out of its range.
    """
    require(0 <= momentum < 1, "momentum", momentum, "in [0, 1)")
    require(others > 0, "others", others, "above 0")
    trained = [weight for weight in weights if weight.requires_grad]
    hidden = [weight for weight in trained if weight.ndim >= 2][1:-1]
    chosen = {id(weight) for weight in hidden}
    rest = [weight for weight in trained if id(weight) not in chosen]
    groups = [{"params": hidden, "hidden": True, "relative": 1.0}, {"params": rest, "hidden": False, "relative": others}]
    return Muon(groups, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum})


class Muon(torch.optim.Optimizer):
    """The optimizer that `muon` returns; `hidden` tells the groups whose momentum is orthogonalised."""

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step on all weights that have a gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                weights = [weight for weight in group["params"] if weight.grad is not None]
                if weights:
                    self._step(weights, group)

    def _step(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        rate, decay = group["lr"], group["weight_decay"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if group["hidden"]:
            torch._foreach_mul_(weights, 1 - rate * decay)
            changes = self._nesterov(weights, gradients, group["momentum"])
            torch._foreach_add_(weights, [orthogonal(change) for change in changes], alpha=-rate)
        else:
            penalised = torch._foreach_add(gradients, weights, alpha=decay)
            torch._foreach_add_(weights, self._nesterov(weights, penalised, group["momentum"]), alpha=-rate)

    def _nesterov(self, weights: list[Tensor], gradients: Tensors, momentum: float) -> Tensors:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["speed"] = torch.zeros_like(weight)
        speeds: list[Tensor] = [self.state[weight]["speed"] for weight in weights]
        torch._foreach_mul_(speeds, momentum)
        torch._foreach_add_(speeds, gradients)
        return torch._foreach_add(gradients, speeds, alpha=momentum)


def orthogonal(change: Tensor) -> Tensor:
    """Nearly the orthogonal factor of a matrix or a kernel flattened to (O, I * h * w), times sqrt(max(1, rows / columns)).

    Five steps of the quintic Newton-Schulz iteration on the matrix over its Frobenius norm; they take singular values to between
    0.7 and 1.2, which trains as well as 1 does (Jordan et al., 2024).

    Args:
        change: floats (O, ...), of two dimensions or more.
    """
    matrix = change.flatten(1)
    rows, columns = matrix.shape
    tall = rows > columns
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).mul(max(1.0, rows / columns) ** 0.5).reshape(change.shape)
