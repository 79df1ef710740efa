"""The evaluator: one network that reads an image's label from any of its pixels, whichever are kept."""

from gradaudit.evaluator.evaluator import Evaluator, trained, untrained
from gradaudit.evaluator.masks import MaskPool, PoolRanking, mask_shape
from gradaudit.evaluator.network import build_with_mask
from gradaudit.evaluator.spec import EvaluatorLike, EvaluatorSpec, evaluator_recipe, resolve_evaluator
from gradaudit.evaluator.training import EvaluatorTraining

__all__ = [
    "Evaluator",
    "EvaluatorLike",
    "EvaluatorSpec",
    "EvaluatorTraining",
    "MaskPool",
    "PoolRanking",
    "build_with_mask",
    "evaluator_recipe",
    "mask_shape",
    "resolve_evaluator",
    "trained",
    "untrained",
]
