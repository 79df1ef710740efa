"""A training run: a fit on its way, and all that its next step depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.training.averaging import Average


class TrainingRun:
    """A classifier with its optimizer, its average, its place in the data, and the random state.

    Args:
        classifier: on `device`, in the memory format in which it is trained.
        optimizer: of its weights.
        ema: decay of the average, 0 for none.
        steps: steps an epoch.
        device: whose random state counts.
    """

    def __init__(
        self, classifier: nn.Module, optimizer: torch.optim.Optimizer, ema: float, steps: int, device: torch.device
    ) -> None:
        self.classifier = classifier
        self.optimizer = optimizer
        self.average = Average(classifier, ema) if ema else None
        self.steps = steps
        self.device = device
        self.step = 0
        self.order = torch.empty(0, dtype=torch.int64)
        self.total = torch.zeros((), device=device)

    @property
    def between_epochs(self) -> bool:
        """Whether an epoch's last step is done, or no step yet."""
        return self.step % self.steps == 0

    def batches(self, count: int) -> Iterator[Tensor]:
        """The indices of what is left of this epoch's batches; a new epoch has a new order."""
        if self.between_epochs:
            self.order = torch.randperm(count)
            self.total.zero_()
        yield from self.order.tensor_split(self.steps)[self.step % self.steps :]

    def count(self, loss: Tensor) -> None:
        """Note that the optimizer has made a step."""
        self.total += loss.detach()
        self.step += 1
        if self.average:
            self.average.update()

    def state(self) -> dict[str, Any]:
        """What `load` takes: tensors, numbers and text."""
        return {
            "step": self.step,
            "order": self.order,
            "total": self.total,
            "classifier": self.classifier.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state() if self.average else None,
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of a run like this one, bit for bit."""
        self.step = state["step"]
        self.order = state["order"]
        self.total.copy_(state["total"])
        self.classifier.load_state_dict(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load(**state["average"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None:
            torch.cuda.set_rng_state(state["cuda_random"], self.device)
