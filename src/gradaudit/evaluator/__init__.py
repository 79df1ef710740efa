"""The evaluator: one network that reads an image's label from any of its pixels, whichever are kept."""

from gradaudit.evaluator.evaluator import Evaluator, EvaluatorLike, stored, trained, untrained
from gradaudit.evaluator.masks import MaskPool, PoolRanking
from gradaudit.evaluator.spec import EvaluatorSpec, resolve_evaluator
from gradaudit.evaluator.training import EvaluatorTraining, mask_channels

__all__ = [
    "Evaluator",
    "EvaluatorLike",
    "EvaluatorSpec",
    "EvaluatorTraining",
    "MaskPool",
    "PoolRanking",
    "mask_channels",
    "resolve_evaluator",
    "stored",
    "trained",
    "untrained",
]
