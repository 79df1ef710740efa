"""Whether others see the target too, which tells a semantic change from an adversarial one."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.measures._evidence import Evidence, of_class, probabilities


def agreement(evidence: Evidence) -> dict[str, Tensor]:
    """For each oracle `agreed_<oracle>`, whether it predicts the target after, and `confidence_<oracle>`, its confidence in it.

    Where another classifier was to keep its class, also `kept_<oracle>`, whether the oracle predicts that class after.

    Raises:
        LackingError: there is no oracle.
    """
    found: dict[str, Tensor] = {}
    for name, oracle in evidence.named_oracles().items():
        after = probabilities(oracle, evidence.after)
        found[f"agreed_{name}"] = after.argmax(dim=1) == evidence.targets
        found[f"confidence_{name}"] = of_class(after, evidence.targets)
        if evidence.against is not None:
            found[f"kept_{name}"] = after.argmax(dim=1) == evidence.against.classes
    return found
