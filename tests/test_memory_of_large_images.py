"""What is made of many large images takes little memory beside them, however many they are."""

import ctypes
import gc
import sys
from pathlib import Path

import pytest
import torch

import gradaudit as ga
from gradaudit.datasets.describe import describe_images
from gradaudit.diffusion.tangents.local_pca import local_pca
from gradaudit.evaluator.blocks import alike
from gradaudit.images import digests, shared_images

COUNT, SHAPE = 400, (3, 160, 160)  # 31 MB; 123 MB as floats, 246 MB in double precision
LITTLE = 100e6
WORK = {
    "mean": lambda images: images.mean(),
    "digests": lambda images: [*digests(images)],
    "shared images": lambda images: shared_images(images, images[:50]),
    "description": describe_images,
    "blocks": lambda images: alike(images.images.numpy(), images.labels.numpy(), 10, [0]),
    "neighbours": lambda images: local_pca(images.floats([0]), images, dimensions=2, neighbours=4),
}


@pytest.fixture(name="images", scope="module")
def images_fixture():
    levels = torch.randint(0, 256, (COUNT, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ga.ImageSet(levels, torch.arange(COUNT) % 4, tuple("abcd"))


def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process held at most")
@pytest.mark.parametrize("name", WORK)
def test_it_takes_little_memory(images, name):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    WORK[name](images)
    assert resident("VmHWM") - before < LITTLE
