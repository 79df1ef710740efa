"""What is kept of a walk: diagnostics, a few frames, and which images failed."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.instruments.counterfactual.problem import Problem, Solution, confidences

FRAMES = 24


class Trace:
    """The record of a walk of so many steps.

    Args:
        problem: whose images walk.
        steps: how many there are; `record` is called once for each.
    """

    def __init__(self, problem: Problem, steps: int) -> None:
        self.problem = problem
        self.steps = steps
        self.failed: list[str | None] = [None] * len(problem.images)
        self._rows: list[dict[str, Tensor]] = []
        self._frames: list[Tensor] = []
        # The last frame is the counterfactual itself, which `solution` adds.
        self._kept = set(torch.linspace(0, steps - 1, min(FRAMES, steps)).round().int().tolist()) - {steps - 1}

    def record(self, images: Tensor, pull: Tensor, diagnostics: dict[str, Tensor]) -> Tensor:
        """Which images go on, boolean (N,), after a step is recorded.

        Args:
            images: x0_hat, floats (N, C, H, W), in [0, 1] but for errors.
            pull: on x_t, likewise.
            diagnostics: by name, (N,) each.
        """
        with torch.no_grad():
            logs = self.problem.log_probabilities(images)
        self._note("the denoised image", images)
        self._note("the classifier's probability of the target", logs[:, 0])
        self._note("the other classifier's probability of its class", logs[:, 1:])
        self._note("the gradient", pull)
        going = torch.tensor([reason is None for reason in self.failed], device=images.device)
        if len(self._rows) in self._kept:
            self._frames.append(self._shown(images, going))
        distance = (images.clamp(0, 1) - self.problem.images).abs().flatten(1).sum(1)
        found = {**confidences(logs), "distance": distance, **diagnostics}
        self._rows.append({name: torch.where(going, value.float(), torch.nan).cpu() for name, value in found.items()})
        return going

    def solution(self, images: Tensor) -> Solution:
        """The walk's outcome, with the last x0_hat (N, C, H, W) clamped; the original where an image failed."""
        going = torch.tensor([reason is None for reason in self.failed], device=images.device)
        final = torch.where(going[:, None, None, None], images.detach().clamp(0, 1), self.problem.images)
        frames = torch.stack([*self._frames, self._shown(final, going)], dim=1)
        missing = torch.full((len(images),), torch.nan)
        names = dict.fromkeys(name for row in self._rows for name in row)
        steps = {name: torch.stack([row.get(name, missing) for row in self._rows], dim=1) for name in names}
        return Solution(final, steps, frames, tuple(self.failed))

    def _note(self, what: str, values: Tensor) -> None:
        bad = ~values.flatten(1 if values.ndim > 1 else 0).isfinite()
        for index in (bad.any(dim=1) if bad.ndim > 1 else bad).nonzero().flatten().tolist():
            if self.failed[index] is None:
                self.failed[index] = f"{what} is not finite at step {len(self._rows) + 1} of {self.steps}"

    def _shown(self, images: Tensor, going: Tensor) -> Tensor:
        pictures = torch.where(going[:, None, None, None], images, self.problem.images)
        return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
