"""The fine-tuned copy: what it is trained on, what it may change, what it can mend, and where it is kept."""

import copy

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.fills import resolve_fill
from gradaudit.instruments.fidelity.finetuning import FineTuning, fine_tuned, random_parts

ALONE = {"controls": (), "patches": 0, "device": "cpu"}
FEW = {"name": "evaluators/fine-tune", "epochs": 2}


class Brightest(nn.Module):
    """Reads the brightest pixel alone, and is so sure that no gradient is left."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(1, 2)
        self.last.weight.data = torch.tensor([[-1e4], [1e4]])
        self.last.bias.data = torch.tensor([5e3, -5e3])

    def forward(self, images):
        return self.last(images.amax(dim=(2, 3)))


def graded(made, count, low, high):
    """Images that are dark or bright all over, and labelled so."""
    images = made.drawn(count, classes=2)
    pixels = torch.where(images.labels[:, None, None, None] == 1, high, low) + images.images // 32
    return ga.ImageSet(pixels.to(torch.uint8), images.labels, images.classes)


def off_threshold(bound):
    """A linear classifier of the mean brightness whose bound is not halfway between the classes."""
    layer = nn.Linear(64, 2)
    layer.weight.data = torch.stack([-torch.ones(64), torch.ones(64)]) * 0.5
    layer.bias.data = torch.tensor([1.0, -1.0]) * 0.5 * 64 * bound
    return nn.Sequential(nn.Flatten(), layer)


def training(classifier, images, fill="mean", **fields):
    recipe = ga.named_recipe("evaluators/fine-tune", **fields)
    return FineTuning(classifier, images, resolve_fill(fill, images), "pixels", 0.8, recipe, torch.device("cpu"))


@pytest.mark.parametrize(("shape", "most"), [((1, 8, 8), 0.9), ((3, 16, 12), 0.5), ((1, 1, 5), 0.8)])
def test_random_parts_are_any_share_up_to_the_stated_one_and_of_any_size(shape, most):
    torch.manual_seed(0)
    parts = random_parts(2000, shape, most)
    shares = parts.flatten(1).float().mean(1)
    assert parts.dtype == torch.bool
    assert parts.shape == (2000, *shape)
    assert shares.max() <= most
    assert shares.max() > 0.7 * most
    assert shares.min() == 0
    even = parts.float().mean(0)
    assert even.max() - even.min() < 0.1  # no place more often than another
    if shape[1] >= 8:
        # How often the neighbour of a removed pixel is removed too: in an image of single pixels as often as any pixel.
        together = (parts[..., 1:] & parts[..., :-1]).flatten(1).float().mean(1)
        assert together.mean() > 1.05 * (shares**2).mean()


def test_a_classifier_that_ignores_removal_stays_bit_for_bit(made):
    images = graded(made, 64, 40, 220)
    classifier = Brightest()
    before = copy.deepcopy(classifier.state_dict())
    network = training(classifier, images, "zero", epochs=1, weight_decay=0.0).train(ga.Store("memory://still"), lambda run: None)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_classifier_that_collapses_under_the_fill_recovers_and_stays_itself(made, tmp_path):
    train, test = graded(made, 400, 140, 230), graded(made, 100, 140, 230)
    classifier = off_threshold(0.86).train()
    classifier[1].bias.requires_grad_(False)
    before = copy.deepcopy(classifier.state_dict())
    asked = {"levels": 0.2, "fill": "mean", "reference": train, "store": tmp_path, "seed": 3}
    plain = ga.fidelity(classifier, test, "random", **asked, **ALONE)
    assert plain.accuracy == 1
    assert plain.table["top"][0] == plain.table["bottom"][0] == 0.5
    mended = ga.fidelity(classifier, test, "random", finetuned="evaluators/fine-tune(epochs=8)", **asked, **ALONE)
    assert mended.table["top"][0] > 0.95
    assert mended.accuracy == 1  # the classifier's own
    assert mended.settings["finetuned"]["removed"] == pytest.approx(0.8)
    assert mended.settings["finetuned"]["train_images"] == 400
    assert mended.settings["finetuned"]["recipe"]["seed"] == 3
    assert mended.verdict.caveats[0].startswith("not the classifier was asked but a copy")
    assert "the classifier itself 100.0%" in mended.verdict.caveats[0]
    assert "the fine-tuned copy gives" in mended.verdict.sentence
    assert plain.settings["finetuned"] is None
    assert not any("copy" in caveat for caveat in plain.verdict.caveats)
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name])
    assert classifier.training
    assert classifier[1].weight.requires_grad
    assert not classifier[1].bias.requires_grad


@pytest.mark.parametrize("features", ["pixels", "coordinates"])
def test_each_fill_has_its_copy_which_is_asked_about_patches_and_nothing_too(made, tmp_path, features):
    train, test = made.drawn(60, channels=3, seed=1), made.drawn(20, channels=3)
    classifier = made.linear(test)  # in double precision
    options = {"levels": (0.2, 0.5), "patches": 2, "controls": (), "store": tmp_path, "device": "cpu", "features": features}
    options |= {"fill": ["mean", "zero"], "reference": train}
    found = ga.fidelity(classifier, test, finetuned=FEW, **options)
    recipe = ga.named_recipe("evaluators/fine-tune", epochs=2)
    for name in ("mean", "zero"):
        made_of = FineTuning(classifier, train, resolve_fill(name, train), features, 0.8, recipe, torch.device("cpu"))
        network = fine_tuned(made_of, ga.Store(tmp_path), "t", False)
        ranked = {"own": lambda _, images, targets: made.gradient(classifier, images, targets)}
        alone = ga.fidelity(network, test, ranked, **options | {"fill": name})
        one, other = found.rows(name).drop(columns="attribution"), alone.table.drop(columns="attribution")
        assert one.reset_index(drop=True).equals(other)
        patched = found.single_patches[found.single_patches["fill"] == name]
        assert patched["spearman"].item() == alone.single_patches["spearman"].item()
        assert found.details["nothing"][name] == alone.details["nothing"][name]
        assert found.details["copies"][name] == alone.details["clean"]


def test_a_copy_is_kept_and_one_that_is_damaged_is_made_again(made, tmp_path, monkeypatch):
    images = made.drawn(60)
    options = {"fill": "noise", "reference": images, "finetuned": FEW, "store": tmp_path, **ALONE}
    first = ga.fidelity(made.network(images), images, **options)
    other = ga.fidelity(made.network(images), images, **options, seed=1)
    assert first.details["copies"] != other.details["copies"]
    with monkeypatch.context() as patched:
        patched.setattr(FineTuning, "train", lambda *given: pytest.fail("trained again"))
        again = ga.fidelity(made.network(images), images, **options)
    assert again.to_json() == first.to_json()
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="damaged entry"):
        mended = ga.fidelity(made.network(images), images, **options)
    assert mended.to_json() == first.to_json()


def test_a_training_that_was_stopped_goes_on(made, tmp_path):
    images = made.drawn(60)
    whole = training(made.network(images), images, "noise", epochs=3).train(ga.Store(tmp_path / "a"), lambda run: None)

    def stop(run):
        if run.step == 5:
            raise KeyboardInterrupt

    store, steps = ga.Store(tmp_path / "b"), []
    with pytest.raises(KeyboardInterrupt):
        training(made.network(images), images, "noise", epochs=3).train(store, stop)
    later = training(made.network(images), images, "noise", epochs=3).train(store, lambda run: steps.append(run.step))
    assert steps == [5, 6]
    for one, other in zip(whole.state_dict().values(), later.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not [*(tmp_path / "b").rglob("*.checkpoint")]


def test_what_a_copy_needs_is_named(made, tmp_path):
    images = made.drawn(30)
    options = {"fill": "mean", "store": tmp_path, **ALONE}
    for finetuned in ("no_such", "evaluators/fine-tune(epoch=2)", "evaluators/fine-tune(2)", 0.5):
        with pytest.raises(ga.InputError, match="`finetuned`"):
            ga.fidelity(made.network(images), images, finetuned=finetuned, reference=images, **options)
    with pytest.raises(ga.InputError, match="the training images, on which to fine-tune"):
        ga.fidelity(made.network(images), images, finetuned=FEW, **options)
    others = ga.ImageSet(images.images, images.labels, ("x", "y", "z"))
    with pytest.raises(ga.InputError, match="`reference`"):
        ga.fidelity(made.network(images), images, finetuned=FEW, reference=others, **options)
    two, scores = made.on_one_pixel()
    with pytest.raises(ga.InputError, match="weights that can be fine-tuned"):
        ga.fidelity(made.OnePixel(), two, {"own": scores}, finetuned=FEW, reference=two, **options)
