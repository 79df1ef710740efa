"""`toy`."""

import torch
from gradaudit.instruments.toy.options import ToyOptions
from gradaudit.instruments.toy.result import ToyResult, tabulate

from gradaudit.classifiers import check_classifier
from gradaudit.options import takes
from gradaudit.results import Verdict


@takes(ToyOptions)
def toy(classifier, images, options: ToyOptions) -> ToyResult:
    """The mean confidence of a classifier, times a factor.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: images with their labels.
        {options}
    """
    classifier, caveats = check_classifier(classifier, images)
    with torch.no_grad():
        confident = classifier(images.floats(slice(None))).softmax(dim=1)
    chosen = images.labels if options.of == "label" else confident.argmax(dim=1)
    value = options.factor * float(confident.gather(1, chosen[:, None]).mean())
    settings = {"factor": options.factor, "of": options.of, "seed": options.seed, "classes": list(images.classes)}
    verdict = Verdict("confident" if value > options.factor / 2 else "not confident", f"the confidence is {value:.3f}")
    return ToyResult(tabulate(value), verdict.with_caveats(caveats), settings)
