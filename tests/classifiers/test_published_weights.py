"""Classifiers that somebody else trained load, and reach the accuracy that is known of them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gradaudit.classifiers import load_classifier

WEIGHTS, DATA = os.environ.get("GRADAUDIT_WEIGHTS"), os.environ.get("GRADAUDIT_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        WEIGHTS is None or DATA is None, reason="GRADAUDIT_WEIGHTS and GRADAUDIT_DATA don't name the weights' and data's folders"
    ),
]

VERIFIED = (0.4914, 0.4822, 0.4465)
CIFAR = [
    ("resnet20", "cifar10_resnet20.th", "imagenet", 0.9173),
    ("resnet4b", "cifar10_resnet4b_robust.pth", (VERIFIED, (0.2470, 0.2435, 0.2616)), 0.7720),
    ("cnn_a", "cifar10_cnn_a_adv.model", (VERIFIED, (0.2023, 0.1994, 0.2010)), 0.6975),
]


def mnist_test() -> tuple[Tensor, Tensor]:
    folder = Path(str(DATA)) / "mnist"
    pixels = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return torch.from_numpy(pixels.reshape(-1, 1, 28, 28).copy()), torch.from_numpy(labels.copy())


def cifar_test(every: int) -> tuple[Tensor, Tensor]:
    folder = Path(str(DATA)) / "cifar10"
    sheets = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("test_*.webp"))]
    images = np.concatenate([sheet.reshape(40, 32, 25, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32) for sheet in sheets])
    labels = np.load(folder / "test_labels.npy")
    return torch.from_numpy(images[::every].copy()), torch.from_numpy(labels[::every].astype(np.int64))


@torch.no_grad()
def accuracy(classifier: nn.Module, images: Tensor, labels: Tensor) -> float:
    predicted = torch.cat([classifier(batch / 255).argmax(1) for batch in images.split(500)])
    return (predicted == labels).float().mean().item()


@pytest.mark.parametrize(("file", "known"), [("mnist_lenet5_clntrained.pt", 0.9889), ("mnist_lenet5_advtrained.pt", 0.9864)])
def test_lenet5_on_the_whole_test_set(file: str, known: float) -> None:
    classifier = load_classifier("lenet5", Path(str(WEIGHTS)) / file)
    assert accuracy(classifier, *mnist_test()) == pytest.approx(known, abs=0.001)


@pytest.mark.parametrize(("network", "file", "normalisation", "known"), CIFAR)
def test_cifar_networks_on_every_tenth_test_image(network: str, file: str, normalisation: object, known: float) -> None:
    classifier = load_classifier(network, Path(str(WEIGHTS)) / file, input_shape=(3, 32, 32), normalisation=normalisation)
    # Four standard errors of 1,000 images drawn without replacement from 10,000.
    tolerance = 4 * (known * (1 - known) / 1000 * 0.9) ** 0.5
    assert accuracy(classifier, *cifar_test(every=10)) == pytest.approx(known, abs=tolerance)
