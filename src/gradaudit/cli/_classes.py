"""The order of the classes: that of the classifier's logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradaudit.cli._output import say

if TYPE_CHECKING:
    from torch import nn

    from gradaudit.images import ImageSet


def in_their_order(classifiers: Sequence[nn.Module], training: ImageSet, testing: ImageSet) -> tuple[ImageSet, ImageSet]:
    """The images with their classes in the order of the logits, where one of the classifiers says which classes they are."""
    from gradaudit.classifiers import class_names, in_order, misplaced

    names = next(filter(None, map(class_names, classifiers)), None)
    if names is None or not misplaced(testing, names):
        return training, testing
    say("the images' classes are put into the order that the classifier's own names have")
    return in_order(training, names), in_order(testing, names)
