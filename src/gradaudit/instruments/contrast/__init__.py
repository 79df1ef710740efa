"""Contrast: whether a map lies where an image differs from its nearest neighbours of other classes; nothing is trained."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.contrast.audit import contrast
    from gradaudit.instruments.contrast.neighbours import class_contrasts
    from gradaudit.instruments.contrast.result import ContrastResult

__all__ = ["ContrastResult", "class_contrasts", "contrast"]
__getattr__ = lazily(__name__, {"audit": ("contrast",), "neighbours": ("class_contrasts",), "result": ("ContrastResult",)})
