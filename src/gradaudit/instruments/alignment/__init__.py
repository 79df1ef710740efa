"""Alignment: how far a classifier's gradients point along the score of the data, image by image."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.alignment.audit import alignment
    from gradaudit.instruments.alignment.methods import GRADIENTS, SCORES, SIMILARITIES
    from gradaudit.instruments.alignment.result import AlignmentResult

__all__ = ["GRADIENTS", "SCORES", "SIMILARITIES", "AlignmentResult", "alignment"]
__getattr__ = lazily(
    __name__,
    {"audit": ("alignment",), "methods": ("GRADIENTS", "SCORES", "SIMILARITIES"), "result": ("AlignmentResult",)},
)
