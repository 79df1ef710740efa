"""A toy of every kind that is found by name: one function in one file, in a folder that its package searches as well."""

import sys
from importlib import import_module

import pytest

from gradaudit.cli import main
from gradaudit.cli.listings import KINDS, registry_of

TOYS = {
    "data": '''
import numpy as np

from gradaudit import ImageSet


def toy(*, seed=0, strength=1):
    """A toy data set: the right half of the second class is brighter, in the upper half alone."""
    rng = np.random.default_rng(seed)

    def draw(count):
        labels = np.arange(count) % 2
        images = rng.integers(0, 60, (count, 1, 8, 8), dtype=np.uint8)
        images[labels == 1, :, :4, 4:] += np.uint8(50 * strength)
        signal = np.zeros((count, 8, 8), dtype=bool)
        signal[:, :4] = True
        return ImageSet(images, labels, ("dark", "bright"), signal)

    return draw(60), draw(24)
''',
    "libraries": '''
import numpy as np

from gradaudit import ImageSet


def toy(name, *, folder=None, seed=0, strength=1):
    """A toy library: grey images of a class for each letter of the name."""
    labels = np.arange(len(name))
    images = np.full((len(name), 1, 4, 4), strength, dtype=np.uint8)
    return (ImageSet(images, labels, tuple(name)),) * 2
''',
    "network-libraries": '''
from torch import nn

from gradaudit.classifiers.libraries import LibraryNetwork


def toy(name, asked, *, strength=1):
    """A toy library of networks: one linear layer whose weights are the same."""
    channels, height, width = asked.input_shape
    layer = nn.Linear(channels * height * width, asked.classes)
    nn.init.constant_(layer.weight, asked.options.get("strength", strength))
    return LibraryNetwork(nn.Sequential(nn.Flatten(), layer), channels)
''',
    "nulls": '''
import numpy as np


def toy(*, strength=1):
    """Toy null blocks: grey."""
    return lambda count, shape, generator: np.full((count, *shape), strength, dtype=np.uint8)
''',
    "networks": '''
import math

from torch import nn


class Toy(nn.Module):
    def __init__(self, inputs, classes, strength):
        super().__init__()
        self.layer, self.strength = nn.Linear(inputs, classes), strength

    def forward(self, images):
        return self.strength * self.layer(images.flatten(1))


def toy(input_shape, classes, *, strength=1):
    """A toy network: a linear layer, times its strength."""
    return Toy(math.prod(input_shape), classes, strength)
''',
    "objectives": '''
from torch.nn import functional as F


def toy(classifier, images, labels, *, strength=1):
    """A toy objective: cross-entropy, times its strength."""
    return strength * F.cross_entropy(classifier(images), labels)
''',
    "optimizers": '''
import torch


def toy(weights, learning_rate, weight_decay, *, strength=1):
    """A toy optimizer: plain SGD, whose rate is multiplied by its strength."""
    return torch.optim.SGD(weights, lr=strength * learning_rate)
''',
    "attributions": '''
def toy(classifier, images, targets, *, strength=1):
    """A toy attribution: the images, times its strength."""
    return strength * images
''',
    "fills": '''
from functools import partial

import torch

from gradaudit.fills._fill import Fill


def toy(train, *, strength=1):
    """A toy fill: a grey of a tenth of its strength."""
    return Fill(partial(_grey, level=strength / 10))


def _grey(kept, mask, *, level):
    return torch.full_like(kept, level)
''',
    "attacks": '''
def toy(classifier, images, labels, *, norm, eps, strength=1):
    """A toy attack: every pixel brighter by half of the radius times its strength."""
    return (images + 0.5 * strength * eps).clamp(0, 1)
''',
    "gradients": '''
def toy(classifier, images, targets, *, strength=1):
    """A toy gradient: the images, times its strength."""
    return strength * images
''',
    "scores": '''
def toy(score, targets, *, strength=1):
    """A toy score: the unconditional one, times its strength."""
    return strength * score(None)
''',
    "similarities": '''
def toy(gradients, scores, *, strength=1):
    """A toy similarity: a tenth of its strength for every image."""
    return gradients.new_full((len(gradients),), strength / 10)
''',
    "tangents": '''
import torch


class Toy:
    """What knows the manifold."""


def toy(images, source: Toy, *, dimensions=None, strength=1):
    """Toy tangent spaces: as many axes as its strength says."""
    return torch.eye(images[0].numel())[:strength].expand(len(images), -1, -1)
''',
    "methods": '''
from gradaudit.instruments.counterfactual import Solution


def toy(problem, *, strength=1):
    """A toy method: every pixel brighter by a tenth of its strength."""
    return Solution((problem.images + strength / 10).clamp(0, 1))
''',
    "regions": '''
import torch


def toy(asked, *, strength=1):
    """A toy region: as many of the upper rows as its strength says."""
    mask = torch.zeros(len(asked.images), *asked.images.shape[1:], dtype=torch.bool)
    mask[:, :strength] = True
    return mask
''',
    "guided-samplers": '''
def toy(guide, noisy, levels, fresh, *, strength=1):
    """A toy sampler under guidance: the first estimate, told by how bright it is."""
    return guide(noisy, levels[0]).clean * 0 + strength / 4
''',
    "measures": '''
import torch


def toy(evidence, *, strength=1):
    """A toy measure: its strength for every image."""
    return {"toy": torch.full((len(evidence.after),), float(strength))}
''',
    "denoisers": '''
from gradaudit.diffusion.denoiser import Denoiser


def toy(place, *, strength=1):
    """A toy adapter: what keeps half of the noise's distance from a grey."""
    grey = strength / 4
    return Denoiser(lambda noisy, sigma, labels: grey + (noisy - grey) / 2, shape=(1, 8, 8), description={"place": place})
''',
    "denoiser-networks": '''
from torch import nn


class Toy(nn.Module):
    def __init__(self, channels, strength):
        super().__init__()
        self.layer, self.strength = nn.Conv2d(channels, channels, 1), strength

    def forward(self, noisy, noise, labels):
        return self.strength * self.layer(noisy)


def toy(input_shape, classes, *, strength=1):
    """A toy denoiser's network: one convolution, times its strength."""
    return Toy(input_shape[0], strength)
''',
    "samplers": '''
def toy(denoise, noisy, sigmas, fresh, *, strength=1):
    """A toy sampler: a grey of a quarter of its strength."""
    return 0 * denoise(noisy, sigmas[0]) + strength / 4
''',
    "backends": '''
class Toy:
    ran = []

    def __init__(self, strength):
        self.strength = strength

    def slots(self):
        return 1

    def run(self, function, tasks, workers):
        self.ran.append(self.strength)
        yield from (function(*task) for task in tasks)


def toy(store, device, *, strength=1):
    """A toy backend: this process, which notes that it was asked."""
    return Toy(strength)
''',
}


@pytest.fixture(name="toys", scope="module")
def toys_fixture(tmp_path_factory):
    """Where each kind is found, a toy among them; nothing but its file was written."""
    folder, found = tmp_path_factory.mktemp("toys"), {}
    with pytest.MonkeyPatch.context() as patch:
        for kind, text in TOYS.items():
            found[kind] = registry = registry_of(kind)
            (folder / kind).mkdir()
            (folder / kind / "toy.py").write_text(text)
            package = import_module(registry.package)
            patch.setattr(package, "__path__", [*package.__path__, str(folder / kind)])
        yield found
    for registry in found.values():
        if sys.modules.pop(f"{registry.package}.toy", None) is not None:
            del import_module(registry.package).toy


@pytest.fixture(name="toy_of")
def toy_of_fixture(toys):
    """A function from a kind to its toy's module."""
    return lambda kind: import_module(f"{toys[kind].package}.toy")


@pytest.fixture(name="kinds")
def kinds_fixture():
    """All kinds, and those of which there is a toy."""
    return {*KINDS}, {*TOYS}


@pytest.fixture(name="cli")
def cli_fixture(toys, tmp_path, monkeypatch, capsys):
    """A function that runs a command in `tmp_path`, with the toys and a store of its own, and gives what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in arguments])
        found = capsys.readouterr()
        assert ended.value.code == 0, found.err
        return found.out

    return run
