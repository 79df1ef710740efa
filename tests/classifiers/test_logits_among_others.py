"""Classifiers that return their logits among other things, as those of other libraries do, in every instrument."""

import copy
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga
from gradaudit.classifiers import check_classifier, classifier_fingerprint, normalised
from gradaudit.diffusion import gaussian_mixture

rng = np.random.default_rng(0)
PIXELS = torch.from_numpy(rng.integers(0, 256, (24, 1, 6, 6), np.uint8))
MASK = torch.zeros(24, 6, 6, dtype=torch.bool)
MASK[:, :3] = True
IMAGES = ga.ImageSet(PIXELS, torch.arange(24) % 3, ("a", "b", "c"), MASK)


@dataclass
class Output:
    logits: Tensor
    hidden_states: Any = None


class ModelOutput(OrderedDict[str, Any]):
    """As Hugging Face's: a dictionary whose members are attributes and, as a tuple, come without their names."""

    def __getattr__(self, name: str) -> Any:
        return self[name] if name in self else super().__getattribute__(name)

    def __getitem__(self, key: Any) -> Any:
        return [*self.values()][key] if isinstance(key, int) else super().__getitem__(key)


Named = namedtuple("Named", "logits aux_logits")
KINDS: dict[str, Callable[[Tensor], Any]] = {
    "an output's": lambda z: Output(z),
    "a model output's": lambda z: ModelOutput(loss=None, logits=z, hidden_states=(z,)),
    "a dictionary's": lambda z: {"features": z, "logits": z},
    "a tuple's": lambda z: (z, z.sum()),
    "a list's": lambda z: [z],
    "a named tuple's": lambda z: Named(z, None),
}


class Wrapped(nn.Module):
    def __init__(self, kind: str, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.kind = kind
        self.network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.SiLU(), nn.Flatten(), nn.Linear(32, 3))

    def forward(self, pixel_values: Tensor) -> Any:
        return KINDS[self.kind](self.network(pixel_values))


@pytest.mark.filterwarnings("ignore:.*is taken as logits")
@pytest.mark.parametrize("kind", KINDS)
def test_its_logits_are_taken_and_that_is_said_once(kind: str) -> None:
    classifier = Wrapped(kind).train()
    state = copy.deepcopy(classifier.state_dict())
    with pytest.warns(UserWarning, match=r"`classifier` \(=Wrapped\): .*(logits|first).* is taken as logits") as caught:
        taken = check_classifier(classifier, IMAGES).classifier
    assert len(caught) == 1
    images = IMAGES.floats(slice(0, 4))
    assert torch.equal(taken.eval()(images), classifier.eval().network(images))
    assert classifier_fingerprint(taken) == classifier_fingerprint(check_classifier(Wrapped(kind), IMAGES).classifier)
    assert classifier_fingerprint(taken) != classifier_fingerprint(check_classifier(Wrapped(kind, seed=1), IMAGES).classifier)
    assert all(torch.equal(state[name], value) for name, value in classifier.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*is taken as logits")
def test_modes_are_left_as_they_were() -> None:
    classifier = Wrapped("a tuple's").train()
    classifier.network[1].eval()
    taken = check_classifier(classifier, IMAGES).classifier
    assert [taken.training, classifier.training, classifier.network[1].training] == [True, True, False]


def test_logits_alone_are_left_alone() -> None:
    classifier = Wrapped("a list's").network
    assert check_classifier(classifier, IMAGES).classifier is classifier


INSTRUMENTS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "robustness": lambda c, store: ga.robustness(
        c, IMAGES, eps=(0, 0.1), steps=2, attack=["pgd", "gaussian(samples=4)"], store=store
    ),
    "leakage": lambda c, store: ga.leakage(c, IMAGES, attribution=["loss_gradient", "smoothgrad(samples=2)"]),
    "sensitivity": lambda c, store: ga.sensitivity(c, IMAGES, samples=2),
    "alignment": lambda c, store: ga.alignment(c, IMAGES, DENOISER, sigma=0.5),
    "manifold robustness": lambda c, store: ga.manifold_robustness(c, IMAGES, BASES, samples=2),
    "counterfactual": lambda c, store: ga.counterfactual(c, IMAGES[:3], "second", method="apgd(steps=2)", store=store),
    "mask recovery": lambda c, store: ga.mask_recovery(
        c, IMAGES, IMAGES, fills="zero", sides="top", learner="linear", epochs=1, seeds=1, store=store, workers=1
    ),
}
DENOISER = gaussian_mixture(classes=3, shape=(1, 6, 6)).denoiser()
BASES = torch.eye(36)[:4].expand(24, 4, 36)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_gives_what_it_gives_for_the_logits(name: str, tmp_path: Path) -> None:
    classifier = Wrapped("a model output's")
    with pytest.warns(UserWarning, match="is taken as logits") as caught:
        found = INSTRUMENTS[name](classifier, tmp_path / "one")
    assert len([one for one in caught if "taken as logits" in str(one.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = INSTRUMENTS[name](classifier.network, tmp_path / "two")
    assert found.table.equals(expected.table)


def test_an_audit_takes_them_too(tmp_path: Path) -> None:
    options = dict.fromkeys(("diffroar", "counterfactual_differences", "leakage", "alignment"), False)
    options |= {"robustness": {"steps": 2, "eps": (0.0, 0.1)}, "counterfactual": {"method": "apgd(steps=2)", "images": 2}}
    classifiers = {"one": Wrapped("a tuple's"), "two": Wrapped("a dictionary's", seed=1)}
    with pytest.warns(UserWarning, match="is taken as logits") as caught:
        ready = ga.prepare_audit(
            classifiers, IMAGES, IMAGES, preset="quick", robust=Wrapped("a list's"), options=options, store=tmp_path, device="cpu"
        )
    assert len([one for one in caught if "taken as logits" in str(one.message)]) == 3
    assert set(ready.run().results["one"]) >= {"robustness", "counterfactual"}


def test_attributions_and_accuracy_take_them_too() -> None:
    classifier = Wrapped("a model output's")
    with pytest.warns(UserWarning, match="is taken as logits"):
        scores = ga.attribute_all(classifier, IMAGES, "logit_gradient")
    assert torch.equal(scores, ga.attribute_all(classifier.network, IMAGES, "logit_gradient"))
    assert ga.measure_accuracy(classifier, IMAGES) == ga.measure_accuracy(classifier.network, IMAGES)
    layered = ga.attribute_all(classifier, IMAGES, "captum(method=LayerGradCam, layer='network.0')")
    assert torch.equal(layered, ga.attribute_all(classifier.network, IMAGES, "captum(method=LayerGradCam, layer='0')"))


@pytest.mark.filterwarnings("ignore:.*is taken as logits")
def test_normalisation_and_a_single_logit_go_together_with_them() -> None:
    normal = check_classifier(normalised(Wrapped("a dictionary's"), "mnist"), IMAGES).classifier
    plain = normalised(Wrapped("a dictionary's").network, "mnist")
    assert torch.equal(normal.eval()(IMAGES.floats()), plain.eval()(IMAGES.floats()))

    class Single(Wrapped):
        def forward(self, pixel_values: Tensor) -> Any:
            return {"logits": self.network(pixel_values)[:, :1]}

    assert ga.two_logits(Single("a list's"))(IMAGES.floats()).shape == (24, 2)
