"""One answer a classifier: whether to trust its maps, by what became of planted maps with such numbers."""

from gradaudit.answering.answer import DO_NOT_TRUST, NOT_SETTLED, TRUST, Answer, Reading
from gradaudit.answering.answers import answers
from gradaudit.answering.planted import Scale, scale

__all__ = ["DO_NOT_TRUST", "NOT_SETTLED", "TRUST", "Answer", "Reading", "Scale", "answers", "scale"]
