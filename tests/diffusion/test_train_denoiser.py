"""Training denoisers, on Gaussian data whose best denoiser is known, and what an interruption does to it: nothing."""

import signal
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gradaudit.diffusion import Denoiser, score
from gradaudit.diffusion.evaluation import denoising_error
from gradaudit.diffusion.recipe import DenoiserRecipe
from gradaudit.diffusion.sampling import sample
from gradaudit.diffusion.training import train_denoiser
from gradaudit.errors import InputError, TrainingError
from gradaudit.images import ImageSet

OWN = '''
import os, signal
import torch
from torch import nn

class Small(nn.Module):
    """A network of one hidden layer that may kill its process at a training step named in the environment."""

    def __init__(self, shape, classes, width):
        super().__init__()
        features = shape[0] * shape[1] * shape[2]
        self.classes, self.steps = classes, 0
        self.first, self.last = nn.Linear(features + classes + 2, width), nn.Linear(width, features)

    def forward(self, noisy, noise, labels):
        if self.training:
            self.steps += 1
            if self.steps == int(os.environ.get("DIE_AT", 0)):
                os.kill(os.getpid(), signal.SIGKILL)
        told = nn.functional.one_hot(labels, self.classes + 1).to(noisy.dtype)
        inputs = torch.cat([noisy.flatten(1), told, noise[:, None]], dim=1)
        return self.last(nn.functional.silu(self.first(inputs))).view_as(noisy)

def own_small(shape, classes, *, width=16):
    return Small(shape, classes, width)
'''

RUN = """
import sys, numpy as np
from gradaudit.images import ImageSet
from gradaudit.diffusion.recipe import DenoiserRecipe
from gradaudit.diffusion.training import train_denoiser
data = np.load("data.npz")
images = ImageSet(data["images"], data["labels"], ("a", "b"))
recipe = DenoiserRecipe(**eval(sys.argv[1]))
train_denoiser(recipe, images, device="cpu", checkpoint="run.checkpoint", checkpoint_seconds=0, sheets="sheets")
"""

FIELDS = {"network": "own_denoiser_network:own_small", "epochs": 3, "batch_size": 16, "augment": "flip", "ema": 0.9}
STEPS = 6  # of an epoch
MEANS, STD = (0.3, 0.7), 0.1


def gaussians(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    values = np.take(MEANS, labels)[:, None, None, None] + STD * rng.standard_normal((count, 1, 2, 2))
    return ImageSet(np.clip(np.rint(255 * values), 0, 255).astype(np.uint8), labels, ("a", "b"))


@pytest.fixture(name="images", scope="module")
def images_fixture():
    return gaussians(96, 0)


@pytest.fixture(name="here", autouse=True)
def here_fixture(tmp_path, monkeypatch, images):
    np.savez(tmp_path / "data.npz", images=images.images.numpy(), labels=images.labels.numpy())
    (tmp_path / "own_denoiser_network.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_denoiser_network", raising=False)
    return tmp_path


def same(first, second):
    return all(torch.equal(*pair) for pair in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def exact(noisy, sigma, labels):
    means = torch.tensor(MEANS)[torch.zeros(len(noisy), dtype=torch.int64) if labels is None else labels]
    share = STD**2 / (STD**2 + sigma.square())
    return means[:, None, None, None] + (noisy - means[:, None, None, None]) * share[:, None, None, None]


def test_a_denoiser_approaches_the_exact_score_as_it_trains():
    images, held_out = gaussians(4096, 1), gaussians(400, 2)
    sigma, label = 0.2, 1
    noisy = held_out[held_out.labels == label].floats() + sigma * torch.randn(
        200, 1, 2, 2, generator=torch.Generator().manual_seed(0)
    )
    recipe = DenoiserRecipe(network="own_denoiser_network:own_small(width=64)", batch_size=64, learning_rate=0.01, epochs=1)
    distances, errors = [], []
    for epochs in (1, 4, 16):
        denoiser = train_denoiser(recipe.model_copy(update={"epochs": epochs}), images, device="cpu")
        with torch.no_grad():
            found = score(denoiser, noisy, sigma, torch.full((200,), label))
        expected = (MEANS[label] - noisy) / (STD**2 + sigma**2)
        distances.append(float((found - expected).square().mean() / expected.square().mean()))
        errors.append(denoising_error(denoiser, held_out, sigma=(sigma,), device="cpu"))
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.02
    free, given = errors[-1]["error"]
    best = denoising_error(Denoiser(exact, classes=2), held_out, sigma=(sigma,), device="cpu")["error"][1]  # in the same noise
    assert given < 1.1 * best
    assert given < free  # the class says more than the image alone
    assert given < min(sigma**2, STD**2)  # which are no denoising at all, and each class's mean
    drawn = sample(denoiser, 400, labels=1, device="cpu")
    assert float(drawn.mean()) == pytest.approx(MEANS[1], abs=0.02)
    assert float(drawn.std()) == pytest.approx(STD, rel=0.2)


@pytest.mark.parametrize("die_at", [4, 3 * STEPS], ids=str)
def test_a_killed_training_ends_as_if_it_had_not_been(here, images, run_program, die_at):
    assert run_program(RUN, repr(FIELDS), DIE_AT=str(die_at)).returncode == -signal.SIGKILL
    recipe = DenoiserRecipe(**FIELDS)
    seen, straight = [], []
    resumed = train_denoiser(recipe, images, device="cpu", checkpoint="run.checkpoint", on_epoch=seen.append, sheets="sheets")
    assert resumed.denoise.network.steps == 3 * STEPS - (die_at - 1)  # no step is made twice
    expected = train_denoiser(recipe, images, device="cpu", on_epoch=straight.append)
    assert same(resumed, expected)
    assert seen == straight
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert resumed.description == expected.description
    assert sorted(path.name for path in (here / "sheets").iterdir()) == ["epoch-001.png", "epoch-002.png", "epoch-003.png"]


def test_a_sheet_shows_the_averaged_denoiser_and_changes_nothing(here, images):
    recipe = DenoiserRecipe(**FIELDS).model_copy(update={"epochs": 2})
    denoiser = train_denoiser(recipe, images, device="cpu", sheets="sheets")
    assert same(denoiser, train_denoiser(recipe, images, device="cpu"))
    first = np.asarray(Image.open(here / "sheets" / "epoch-002.png"))
    drawn = sample(denoiser, 16, labels=[0] * 8 + [1] * 8, device="cpu")
    assert np.array_equal(first[1:3, 1:3], (255 * drawn[0, 0]).round().byte().numpy())


def test_what_is_learned_rests_on_the_seed_alone(images):
    recipe = DenoiserRecipe(**FIELDS)
    torch.manual_seed(1)
    first = train_denoiser(recipe, images, device="cpu")
    torch.manual_seed(2)
    assert same(train_denoiser(recipe, images, device="cpu"), first)
    assert not same(train_denoiser(recipe.model_copy(update={"seed": 1}), images, device="cpu"), first)


def test_another_trainings_checkpoint_is_refused(images):
    recipe = DenoiserRecipe(**FIELDS)
    train_denoiser(recipe, images, device="cpu", checkpoint="a.checkpoint")
    with pytest.raises(InputError, match=r"^`checkpoint` .*there `dropped` is 0.1, here 0.2"):
        train_denoiser(recipe.model_copy(update={"dropped": 0.2}), images, device="cpu", checkpoint="a.checkpoint")
    with pytest.raises(InputError, match=r"^`checkpoint` .*there `images` is"):
        train_denoiser(recipe, images[:60], device="cpu", checkpoint="a.checkpoint")


def test_bad_places_are_named_before_any_step(here, images):
    (here / "file").write_text("x")
    recipe = DenoiserRecipe(**FIELDS)
    for argument in ("sheets", "checkpoint"):
        with pytest.raises(InputError, match=f"^`{argument}`"):
            train_denoiser(recipe, images, device="cpu", **{argument: "file/inside"})
    with pytest.raises(InputError, match=r"^`device`"):
        train_denoiser(recipe, images, device="abacus")


def test_a_training_that_diverges_says_so(images):
    with pytest.raises(TrainingError, match="learning_rate"):
        train_denoiser(DenoiserRecipe(**FIELDS | {"learning_rate": 1e30, "warmup": 0, "ema": 0}), images, device="cpu")
