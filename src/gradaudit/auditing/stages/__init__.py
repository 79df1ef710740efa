"""An instrument as a part of the audit: one file each, with a `Stage` called `STAGE`."""

from gradaudit.auditing.stages import (
    alignment,
    counterfactual,
    counterfactual_differences,
    diffroar,
    leakage,
    manifold_robustness,
    robustness,
)
from gradaudit.auditing.stages._stage import Stage

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        diffroar.STAGE,
        counterfactual_differences.STAGE,
        leakage.STAGE,
        robustness.STAGE,
        alignment.STAGE,
        manifold_robustness.STAGE,
        counterfactual.STAGE,
    )
}

__all__ = ["STAGES", "Stage"]
