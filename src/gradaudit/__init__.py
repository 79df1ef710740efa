"""Can this image classifier's gradients be trusted?

```python
import gradaudit as ga

train, test = ga.load_images("mnist5k")
classifier = ga.train(ga.Recipe(network="lenet5"), train)
result = ga.diffroar(classifier, train, test, learner="mlp", seeds=5)
print(result.verdict)
```
"""

from gradaudit.attributions import attribute, attribute_all
from gradaudit.classifiers import load_classifier, normalised, save_classifier, two_logits
from gradaudit.datasets import load_images, save_images
from gradaudit.errors import InputError, MissingExtraError, StoreError, TrainingError
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar import DiffROARResult, diffroar
from gradaudit.instruments.diffroar import prepare as prepare_diffroar
from gradaudit.results import Result, Verdict
from gradaudit.training import Recipe, Store, measure_accuracy, pgd, save_trained, train

load_result = Result.load

__all__ = [
    "DiffROARResult",
    "ImageSet",
    "InputError",
    "MissingExtraError",
    "Recipe",
    "Result",
    "Store",
    "StoreError",
    "TrainingError",
    "Verdict",
    "attribute",
    "attribute_all",
    "diffroar",
    "load_classifier",
    "load_images",
    "load_result",
    "measure_accuracy",
    "normalised",
    "pgd",
    "prepare_diffroar",
    "save_classifier",
    "save_images",
    "save_trained",
    "train",
    "two_logits",
]
