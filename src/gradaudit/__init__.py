"""Can this image classifier's gradients be trusted?

```python
import gradaudit as ga

train, test = ga.load_images("mnist5k")
classifier = ga.train(ga.Recipe(network="lenet5"), train)
result = ga.diffroar(classifier, train, test)
print(result.verdict)
```
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gradaudit.lazy import lazily
from gradaudit.notebooks import without_widgets

if TYPE_CHECKING:
    from gradaudit.attributions import attribute, attribute_all
    from gradaudit.auditing import AuditResult, audit, compare, load_audit, prepare_audit
    from gradaudit.classifiers import class_names, in_order, load_classifier, normalised, save_classifier, two_logits
    from gradaudit.datasets import block_vectors, blocks, coordinate_images, load_images, save_images, trigger
    from gradaudit.diffusion import (
        Autoencoder,
        Denoiser,
        DenoiserRecipe,
        GaussianMixture,
        denoiser_recipe,
        denoising_error,
        gaussian_mixture,
        load_autoencoder,
        load_denoiser,
        sample,
        save_autoencoder,
        save_denoiser,
        score,
        tangent_spaces,
        train_autoencoder,
        train_denoiser,
    )
    from gradaudit.errors import CompletenessWarning, InputError, MissingExtraError, StoreError, TrainingError, WorkerError
    from gradaudit.evaluator import Evaluator
    from gradaudit.images import ImageSet
    from gradaudit.instruments.alignment import AlignmentResult, alignment
    from gradaudit.instruments.contrast import ContrastResult, class_contrasts, contrast
    from gradaudit.instruments.counterfactual import CounterfactualResult, counterfactual, counterfactual_differences
    from gradaudit.instruments.counterfactual_differences import CounterfactualDifferencesResult
    from gradaudit.instruments.diffroar import DiffROARResult, diffroar, prepare_diffroar
    from gradaudit.instruments.fidelity import FidelityResult, fidelity
    from gradaudit.instruments.leakage import (
        LeakageResult,
        SensitivityResult,
        leakage,
        mask_from_boxes,
        sensitivity,
        verified_triggers,
    )
    from gradaudit.instruments.load import load_result
    from gradaudit.instruments.manifold_robustness import ManifoldRobustnessResult, manifold_robustness
    from gradaudit.instruments.mask_recovery import MaskRecoveryResult, mask_recovery
    from gradaudit.instruments.region_flips import RegionFlipsResult, region_flips
    from gradaudit.instruments.robustness import RobustnessResult, robustness
    from gradaudit.instruments.sweep import SweepResult, sweep
    from gradaudit.instruments.trust_radius import TrustRadiusResult, trust_radius
    from gradaudit.memory import memory_limit
    from gradaudit.results import Result, Verdict
    from gradaudit.training import Recipe, Store, measure_accuracy, named_recipe, pgd, save_trained, train, train_once

# Where each public name lives. It is imported when it is first used, so that `gradaudit --help` need not wait for torch.
_HOMES = {
    "gradaudit.attributions": ("attribute", "attribute_all"),
    "gradaudit.auditing": ("AuditResult", "audit", "compare", "load_audit", "prepare_audit"),
    "gradaudit.classifiers": (
        "class_names",
        "in_order",
        "load_classifier",
        "normalised",
        "save_classifier",
        "two_logits",
    ),
    "gradaudit.datasets": ("block_vectors", "blocks", "coordinate_images", "load_images", "save_images", "trigger"),
    "gradaudit.diffusion": (
        "Autoencoder",
        "Denoiser",
        "DenoiserRecipe",
        "GaussianMixture",
        "denoiser_recipe",
        "denoising_error",
        "gaussian_mixture",
        "load_autoencoder",
        "load_denoiser",
        "sample",
        "save_autoencoder",
        "save_denoiser",
        "score",
        "tangent_spaces",
        "train_autoencoder",
        "train_denoiser",
    ),
    "gradaudit.errors": ("CompletenessWarning", "InputError", "MissingExtraError", "StoreError", "TrainingError", "WorkerError"),
    "gradaudit.evaluator": ("Evaluator",),
    "gradaudit.images": ("ImageSet",),
    "gradaudit.instruments.alignment": ("AlignmentResult", "alignment"),
    "gradaudit.instruments.contrast": ("ContrastResult", "class_contrasts", "contrast"),
    "gradaudit.instruments.counterfactual": ("CounterfactualResult", "counterfactual", "counterfactual_differences"),
    "gradaudit.instruments.counterfactual_differences": ("CounterfactualDifferencesResult",),
    "gradaudit.instruments.diffroar": ("DiffROARResult", "diffroar", "prepare_diffroar"),
    "gradaudit.instruments.fidelity": ("FidelityResult", "fidelity"),
    "gradaudit.instruments.leakage": (
        "LeakageResult",
        "SensitivityResult",
        "leakage",
        "mask_from_boxes",
        "sensitivity",
        "verified_triggers",
    ),
    "gradaudit.instruments.manifold_robustness": ("ManifoldRobustnessResult", "manifold_robustness"),
    "gradaudit.instruments.mask_recovery": ("MaskRecoveryResult", "mask_recovery"),
    "gradaudit.instruments.region_flips": ("RegionFlipsResult", "region_flips"),
    "gradaudit.instruments.robustness": ("RobustnessResult", "robustness"),
    "gradaudit.instruments.load": ("load_result",),
    "gradaudit.instruments.sweep": ("SweepResult", "sweep"),
    "gradaudit.instruments.trust_radius": ("TrustRadiusResult", "trust_radius"),
    "gradaudit.memory": ("memory_limit",),
    "gradaudit.results": ("Result", "Verdict"),
    "gradaudit.training": ("Recipe", "Store", "measure_accuracy", "named_recipe", "pgd", "save_trained", "train", "train_once"),
}

_known = lazily(__name__, _HOMES)

__all__ = [
    "AlignmentResult",
    "AuditResult",
    "Autoencoder",
    "CompletenessWarning",
    "ContrastResult",
    "CounterfactualDifferencesResult",
    "CounterfactualResult",
    "Denoiser",
    "DenoiserRecipe",
    "DiffROARResult",
    "Evaluator",
    "FidelityResult",
    "GaussianMixture",
    "ImageSet",
    "InputError",
    "LeakageResult",
    "ManifoldRobustnessResult",
    "MaskRecoveryResult",
    "MissingExtraError",
    "Recipe",
    "RegionFlipsResult",
    "Result",
    "RobustnessResult",
    "SensitivityResult",
    "Store",
    "StoreError",
    "SweepResult",
    "TrainingError",
    "TrustRadiusResult",
    "Verdict",
    "WorkerError",
    "alignment",
    "attribute",
    "attribute_all",
    "audit",
    "block_vectors",
    "blocks",
    "class_contrasts",
    "class_names",
    "compare",
    "contrast",
    "coordinate_images",
    "counterfactual",
    "counterfactual_differences",
    "denoiser_recipe",
    "denoising_error",
    "diffroar",
    "fidelity",
    "gaussian_mixture",
    "in_order",
    "leakage",
    "load_audit",
    "load_autoencoder",
    "load_classifier",
    "load_denoiser",
    "load_images",
    "load_result",
    "manifold_robustness",
    "mask_from_boxes",
    "mask_recovery",
    "measure_accuracy",
    "memory_limit",
    "named_recipe",
    "normalised",
    "pgd",
    "prepare_audit",
    "prepare_diffroar",
    "region_flips",
    "robustness",
    "sample",
    "save_autoencoder",
    "save_classifier",
    "save_denoiser",
    "save_images",
    "save_trained",
    "score",
    "sensitivity",
    "sweep",
    "tangent_spaces",
    "train",
    "train_autoencoder",
    "train_denoiser",
    "train_once",
    "trigger",
    "trust_radius",
    "two_logits",
    "verified_triggers",
]

without_widgets()


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("gradaudit")
    if name not in __all__ and name in import_module("gradaudit.instruments.contract").names():
        return getattr(import_module(f"gradaudit.instruments.{name}"), name)
    return _known(name)


def __dir__() -> list[str]:
    return __all__
