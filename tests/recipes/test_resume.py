"""A training that is killed goes on where it was, and ends bit for bit as if it had not been."""

import os
import pickle
import signal
import sys

import pytest
import torch

from gradaudit.errors import InputError, StoreError
from gradaudit.training import Recipe, train

OWN = '''
import os, signal
from gradaudit.training.objectives.adversarial import adversarial
calls = 0
def dying(classifier, images, labels, *, eps=0.3):
    """Adversarial training that kills its process at a step named in the environment."""
    global calls
    calls += 1
    if calls == int(os.environ.get("DIE_AT", 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    return adversarial(classifier, images, labels, eps=eps, steps=2)
'''

RUN = """
import sys, numpy as np
from gradaudit.images import ImageSet
from gradaudit.training import Recipe, train
data = np.load("data.npz")
images = ImageSet(data["images"], data["labels"], ("a", "b", "c"))
train(Recipe(**eval(sys.argv[1])), images, device="cpu", test=images, checkpoint="run.checkpoint", checkpoint_seconds=0)
"""

FIELDS = {
    "network": "convnet(width=4, batch_norm=true)",
    "objective": "own_dying:dying",
    "epochs": 3,
    "batch_size": 16,
    "ramp": 0.5,
    "augment": "crop-flip",
    "ema": 0.9,
}
STEPS = 6  # of an epoch


@pytest.fixture(name="here")
def here_fixture(tmp_path, monkeypatch, small):
    import numpy as np

    np.savez(tmp_path / "data.npz", images=small.images.numpy(), labels=small.labels.numpy())
    (tmp_path / "own_dying.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_dying", raising=False)
    return tmp_path


def same(first, second):
    return all(torch.equal(*pair) for pair in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("die_at", "optimizer"), [(4, "sgd"), (STEPS + 1, "adamw"), (2 * STEPS, "sgd"), (3 * STEPS, "adamw")], ids=str
)
def test_a_killed_training_ends_as_if_it_had_not_been(here, small, run_program, die_at, optimizer):
    fields = FIELDS | {"optimizer": optimizer, "learning_rate": 0.01}
    assert run_program(RUN, repr(fields), DIE_AT=str(die_at)).returncode == -signal.SIGKILL
    recipe = Recipe(**fields)
    seen, straight = [], []
    resumed = train(recipe, small, device="cpu", test=small, checkpoint="run.checkpoint", on_epoch=seen.append)
    import own_dying

    assert own_dying.calls == 3 * STEPS - (die_at - 1)  # no step is made twice
    expected = train(recipe, small, device="cpu", test=small, on_epoch=straight.append)
    assert same(resumed, expected)
    assert seen == straight
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert [path.name for path in here.iterdir() if path.suffix == ".part"] == []


SMALL = Recipe(network="mlp(width=8)", epochs=2, batch_size=16)


def test_a_finished_training_is_not_repeated(here, small, monkeypatch):
    first = train(SMALL.with_(ema=0.5), small, device="cpu", checkpoint="folder")
    (file,) = (here / "folder").iterdir()
    assert file.suffix == ".checkpoint"
    monkeypatch.setattr("gradaudit.training.fitting.set_rate", None)  # any step would fail
    epochs = []
    assert same(train(SMALL.with_(ema=0.5), small, device="cpu", checkpoint="folder", on_epoch=epochs.append), first)
    assert [epoch.number for epoch in epochs] == [1, 2]


def test_a_folder_holds_many_trainings(here, small):
    classifiers = [train(SMALL.with_(seed=seed), small, device="cpu", checkpoint="folder") for seed in (0, 1)]
    assert len(list((here / "folder").iterdir())) == 2
    assert not same(*classifiers)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 3}, "`epochs` is 2, here 3"),
        ({"objective": "noise"}, "`objective` is 'standard', here 'noise'"),
        ({"seed": 4}, "`seed` is 0, here 4"),
    ],
)
def test_another_recipes_checkpoint_is_refused(here, small, changes, words):
    train(SMALL, small, device="cpu", checkpoint="a.checkpoint")
    before = (here / "a.checkpoint").read_bytes()
    with pytest.raises(InputError, match=rf"^`checkpoint` \(='a.checkpoint'\) must be of this training; there {words}"):
        train(SMALL.with_(**changes), small, device="cpu", checkpoint="a.checkpoint")
    assert (here / "a.checkpoint").read_bytes() == before


def test_a_checkpoint_on_other_images_is_refused(here, small):
    train(SMALL, small, device="cpu", checkpoint="a.checkpoint")
    with pytest.raises(InputError, match=r"`checkpoint` .* there `images` is "):
        train(SMALL, small[:60], device="cpu", checkpoint="a.checkpoint")


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other"])
def test_a_damaged_checkpoint_is_refused(here, small, damage):
    train(SMALL, small, device="cpu", checkpoint="a.checkpoint")
    file = here / "a.checkpoint"
    if damage == "other":
        torch.save({"weights": torch.ones(3)}, file)
    else:
        file.write_bytes({"cut": file.read_bytes()[:900], "text": b"hello", "empty": b""}[damage])
    with pytest.raises(InputError, match=r"`checkpoint` .* must be a readable checkpoint; delete it to start again"):
        train(SMALL, small, device="cpu", checkpoint="a.checkpoint")


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_a_checkpoint_with_code_in_it_runs_none(here, small):
    torch.save({"format": 1, "description": {}, "state": Harm()}, here / "a.checkpoint")
    with pytest.raises(InputError, match="readable checkpoint"):
        train(SMALL, small, device="cpu", checkpoint="a.checkpoint")
    (here / "a.checkpoint").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match="readable checkpoint"):
        train(SMALL, small, device="cpu", checkpoint="a.checkpoint")
    assert not (here / "harmed").exists()


def test_a_full_disk_keeps_the_checkpoint_before(here, small, monkeypatch):
    expected = train(SMALL, small, device="cpu")
    sync, calls = os.fsync, []

    def full(file):
        calls.append(file)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        train(SMALL, small, device="cpu", checkpoint="a.checkpoint")
    assert [path.name for path in here.iterdir() if "checkpoint" in path.name] == ["a.checkpoint"]
    told = []
    assert same(train(SMALL, small, device="cpu", checkpoint="a.checkpoint", on_epoch=told.append), expected)
    assert [epoch.number for epoch in told] == [1, 2]
    assert len(calls) == 3  # only the second epoch was made again


def test_a_folder_that_cannot_be_written_is_named(here, small):
    (here / "file").write_text("x")
    with pytest.raises(InputError, match="`checkpoint`"):
        train(SMALL, small, device="cpu", checkpoint="file/inside")
