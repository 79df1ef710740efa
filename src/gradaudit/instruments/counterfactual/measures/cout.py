"""The counterfactual transition score."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.errors import require_whole
from gradaudit.instruments.counterfactual.measures._evidence import Evidence, of_class, probabilities


def cout(evidence: Evidence, *, steps: int = 50) -> dict[str, Tensor]:
    """`cout`, from -1 to 1: how early the target takes over from the source as the counterfactual's pixels are put in.

    Pixels enter from the most changed to the least (absolute change summed over channels), the same number at each step. The
    score is the area under the target's confidence, less that under the source's, over the share of pixels put in.

    Source: Khorram and Fuxin (2022), Cycle-Consistent Counterfactuals by Latent Transformations.

    Args:
        evidence: images before and after, with the classifier.
        steps: in which pixels are put in; no more than there are.

    Raises:
        InputError: `steps` is no whole number above 0.
    """
    require_whole("steps", steps, 1)
    changes = evidence.differences().sum(dim=1).flatten(1)
    ranks = changes.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    total = ranks.shape[1]
    counts = [round(total * step / min(steps, total)) for step in range(min(steps, total) + 1)]
    leads = torch.stack([_lead(evidence, ranks < count) for count in counts], dim=1)
    shares = torch.tensor(counts, dtype=leads.dtype, device=leads.device) / total
    return {"cout": torch.trapezoid(leads, shares, dim=1)}


def _lead(evidence: Evidence, chosen: Tensor) -> Tensor:
    """The target's confidence less the source's, (N,), with the chosen pixels (N, H * W) put in."""
    mask = chosen.reshape(len(chosen), 1, *evidence.before.shape[2:])
    confidences = probabilities(evidence.classifier, torch.where(mask, evidence.after, evidence.before))
    return of_class(confidences, evidence.targets) - of_class(confidences, evidence.sources)
