"""Whether the classifier changed its mind, and another one did not."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.measures._evidence import Evidence, of_class, probabilities
from gradaudit.instruments.counterfactual.problem import Against


def validity(evidence: Evidence) -> dict[str, Tensor]:
    """The explained classifier's confidence in the target before and after, and whether it now predicts the target (`flipped`).

    Against another classifier, `flipped` is whether the two disagree as was wanted: `reached`, the explained one predicts the
    target, and `kept`, the other one still predicts its class. Beside them `confidence_kept`, the other one's confidence in that
    class, and `other`, the class that it predicts, by index.
    """
    before, after = (probabilities(evidence.classifier, images) for images in (evidence.before, evidence.after))
    reached = after.argmax(dim=1) == evidence.targets
    found = {"confidence_before": of_class(before, evidence.targets), "confidence_after": of_class(after, evidence.targets)}
    if evidence.against is None:
        return found | {"flipped": reached}
    told = _of_other(evidence.against, evidence.after)
    return found | {"flipped": reached & told["kept"], "reached": reached} | told


def _of_other(against: Against, images: Tensor) -> dict[str, Tensor]:
    found = probabilities(against.classifier, images)
    other = found.argmax(dim=1)
    return {"kept": other == against.classes, "confidence_kept": of_class(found, against.classes), "other": other}
