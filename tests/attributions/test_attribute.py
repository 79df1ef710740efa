"""Streaming attribution: targets, batches, precomputed scores, and what is refused before the work starts."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from gradaudit.attributions import attribute, attribute_all
from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.attributions.untrained import untrained
from gradaudit.classifiers import untrained_copy
from gradaudit.errors import InputError
from gradaudit.images import ImageSet

COUNT, SHAPE = 11, (3, 6, 5)


def network(logits=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, logits))


def images():
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (COUNT, *SHAPE), dtype=torch.uint8, generator=generator)
    return ImageSet(pixels, torch.arange(COUNT) % 4, ("a", "b", "c", "d"))


def scores():
    return torch.randn(COUNT, *SHAPE, generator=torch.Generator().manual_seed(2))


def test_slices_cover_the_set_in_order():
    done = list(attribute(network(), images(), "logit_gradient", batch_size=4, device="cpu"))
    assert [which for which, _ in done] == [slice(0, 4), slice(4, 8), slice(8, 11)]
    expected = logit_gradient(network(), images().floats(), images().labels)
    torch.testing.assert_close(torch.cat([part for _, part in done]), expected)


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_all_at_once_is_the_stream(batch_size):
    whole = attribute_all(network(), images(), "smoothgrad(samples=3)", batch_size=batch_size, device="cpu")
    other = attribute_all(network(), images(), "smoothgrad(samples=3)", batch_size=5, device="cpu")
    torch.testing.assert_close(whole, other, atol=1e-6, rtol=1e-4)


def test_the_target_is_the_label_the_prediction_or_a_tensor():
    model, given = network(), images()
    predicted = model(given.floats()).argmax(1)
    assert not torch.equal(predicted, given.labels)
    for target, classes in [("label", given.labels), ("predicted", predicted), (predicted.flip(0), predicted.flip(0))]:
        found = attribute_all(model, given, "logit_gradient", target=target, batch_size=4, device="cpu")
        torch.testing.assert_close(found, logit_gradient(model, given.floats(), classes))


def test_all_classes_are_attributed_and_their_magnitudes_summed():
    model, given = network(), images()
    each = [logit_gradient(model, given.floats(), torch.full((COUNT,), one)) for one in range(4)]
    found = attribute_all(model, given, "logit_gradient", target="all", batch_size=4, device="cpu")
    torch.testing.assert_close(found, torch.stack(each).abs().sum(0))


def targets_drawn(seed=0, batch_size=4, given=None):
    def shown(classifier, batch, targets):
        return batch.new_ones(batch.shape) * targets.view(-1, 1, 1, 1)

    found = attribute_all(network(), given or images(), shown, target="random", seed=seed, batch_size=batch_size, device="cpu")
    return found[:, 0, 0, 0].long().tolist()


def test_a_random_target_belongs_to_the_image_and_the_seed():
    assert targets_drawn() == targets_drawn(batch_size=3) == targets_drawn(given=images()[::-1])[::-1]
    assert targets_drawn() != targets_drawn(seed=1)
    drawn = [target for seed in range(60) for target in targets_drawn(seed)]
    assert set(drawn) == {0, 1, 2, 3}
    assert max(abs(drawn.count(one) / len(drawn) - 0.25) for one in range(4)) < 0.07


@pytest.mark.parametrize("target", ["random", "all"])
def test_what_knows_no_classifier_is_the_same_for_every_target(target):
    assert torch.equal(attribute_all(None, images(), scores(), target=target), scores())
    for name in ("edges", "random"):
        assert torch.equal(attribute_all(None, images(), name, target=target), attribute_all(None, images(), name))


def test_images_of_more_classes_than_the_classifier_has_logits():
    given = images()
    more = ImageSet(given.images, given.labels, (*given.classes, "e"))
    for target in ("random", "all"):
        with pytest.raises(InputError, match=r"`target` .*no more than the 4 logits"):
            attribute(network(), more, "logit_gradient", target=target, device="cpu")


def test_the_seed_reaches_the_attribution():
    first, again, other = (attribute_all(None, images(), "random", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_progress_counts_the_images():
    steps = []
    attribute_all(None, images(), "edges", batch_size=4, progress=lambda count: steps.append(count))
    assert steps == [4, 4, 3]


def test_only_one_batch_is_asked_for_at_a_time():
    asked = []

    def own(classifier, batch, targets):
        asked.append(len(batch))
        return batch

    stream = attribute(network(), images(), own, batch_size=3, device="cpu")
    assert asked == [2]  # the trial on the first images
    next(stream)
    assert asked == [2, 3]


def test_a_batch_that_does_not_fit_is_halved():
    def own(classifier, batch, targets):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    found = attribute_all(network(), images(), own, batch_size=8, device="cpu")
    assert torch.equal(found, images().floats())


def test_a_users_function_gets_evaluation_mode_and_grad_mode():
    def own(classifier, batch, targets):
        assert not classifier.training
        batch.requires_grad_()
        return torch.autograd.grad(classifier(batch).gather(1, targets[:, None]).sum(), batch)[0]

    model = network().train()
    with torch.no_grad():
        found = attribute_all(model, images(), own, device="cpu")
    assert model.training
    torch.testing.assert_close(found, logit_gradient(model, images().floats(), images().labels))


def test_pixel_scores_count_for_every_channel():
    found = attribute_all(network(), images(), lambda classifier, batch, targets: batch.mean(1), device="cpu")
    torch.testing.assert_close(found, images().floats().mean(1, keepdim=True).expand(-1, 3, -1, -1))
    pixels = scores()[:, 0]
    assert torch.equal(attribute_all(None, images(), pixels), pixels[:, None].expand(-1, 3, -1, -1))


@pytest.mark.parametrize("form", ["tensor", "float64", "path", "text", "memmap", "bfloat16"])
def test_precomputed_scores_come_back(form, tmp_path):
    given, path = scores(), tmp_path / "scores.npy"
    np.save(path, given.numpy())
    forms = {
        "tensor": given.clone().requires_grad_(),
        "float64": given.double().numpy(),
        "path": path,
        "text": str(path),
        "memmap": np.load(path, mmap_mode="r"),
        "bfloat16": given.bfloat16(),
    }
    expected = given.bfloat16().float() if form == "bfloat16" else given
    assert torch.equal(attribute_all(None, images(), forms[form], batch_size=4), expected)


def test_integer_scores_are_taken():
    counts = torch.arange(COUNT * 90).view(COUNT, *SHAPE)
    assert torch.equal(attribute_all(None, images(), counts), counts.float())


def broken(value, *places):
    given = scores()
    for place in places:
        given[place] = value
    return given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (broken(float("nan"), (4, 0, 0, 0), (7, 1, 2, 3)), r"2 scores are NaN or infinite, the first in image 4"),
        (broken(float("inf"), (10, 2, 5, 4)), r"1 scores .* first in image 10"),
        (np.full((COUNT, *SHAPE), 1e300), r"990 scores .* first in image 0"),
        (scores()[:-1], r"scores of shape \(11, 3, 6, 5\), or \(11, 6, 5\)"),
        (scores().transpose(2, 3), r"scores of shape \(11, 3, 6, 5\)"),
        (scores().to(torch.complex64), "real numbers"),
        (scores() > 0, "real numbers"),
        (np.array(["a"]), "real numbers"),
    ],
)
def test_bad_precomputed_scores_are_refused_at_once(given, message):
    with pytest.raises(InputError, match=f"(?s)`attribution`.*{message}"):
        attribute(None, images(), given)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: None, "returns a tensor of scores, not NoneType"),
        (lambda x: x[:, :, 1:], r"\(2, 3, 6, 5\).*not \(2, 3, 5, 5\)"),
        (lambda x: x.to(torch.complex64), "real numbers, not torch.complex64"),
        (lambda x: x > 0, "real numbers, not torch.bool"),
        (lambda x: x / 0, "NaN or infinite, the first in image 0"),
        (lambda x: np.array(["a"]), "not ndarray of <U1"),
    ],
)
def test_a_users_function_is_tried_before_the_work_starts(answer, message):
    with pytest.raises(InputError, match=f"`attribution`.*{message}"):
        attribute(network(), images(), lambda classifier, batch, targets: answer(batch), device="cpu")


def test_a_score_that_breaks_later_is_named_with_its_image():
    def own(classifier, batch, targets):
        return torch.where(targets.view(-1, 1, 1, 1) == 3, torch.nan, batch)

    stream = attribute(network(), images(), own, batch_size=3, device="cpu")
    next(stream)
    with pytest.raises(InputError, match=r"90 scores of this batch .* first in image 3"):
        next(stream)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "class"}, r"`target` \(='class'\)"),
        ({"target": torch.full((COUNT,), 4)}, r"`target` \(='0..4'\)|`target` \(='4..4'\) must be from 0 to 3"),
        ({"target": torch.full((COUNT,), -1)}, "`target`.*from 0 to 3"),
        ({"target": torch.zeros(3, dtype=torch.int64)}, r"`target`.*shape \(11,\)"),
        ({"target": torch.zeros(COUNT)}, "`target`.*int64"),
        ({"batch_size": 0}, r"`batch_size` \(=0\)"),
        ({"batch_size": "large"}, "`batch_size`"),
        ({"batch_size": True}, "`batch_size`"),
        ({"device": "gpu"}, "`device`"),
        ({"seed": 0.5, "attribution": "random"}, "`seed`"),
        ({"attribution": "logit_gradint"}, "`attribution`.*did you mean 'logit_gradient'"),
        ({"attribution": "smoothgrad(sample=3)"}, "`attribution`.*samples=25"),
        ({"attribution": "smoothgrad(of=margin)"}, r"`of` \(='margin'\)"),
        ({"attribution": "captum(method=Salience)"}, "`method`.*Saliency"),
        ({"attribution": 7}, "`attribution`"),
        ({"attribution": "nowhere.npy"}, "`attribution`.*nowhere.npy"),
        ({"classifier": None}, r"`classifier` \(=None\).*logit_gradient needs one"),
        ({"classifier": logit_gradient}, "`classifier`.*nn.Module"),
        ({"classifier": network(logits=1)}, "`classifier`.*2 logits"),
        ({"classifier": network(logits=3)}, r"`labels` \(='0..3'\).*3 logits"),
    ],
)
def test_bad_arguments_are_named_before_the_work_starts(arguments, message):
    given = {"classifier": network(), "images": images(), "attribution": "logit_gradient", "device": "cpu"} | arguments
    with pytest.raises(InputError, match=message):
        attribute(given.pop("classifier"), given.pop("images"), given.pop("attribution"), **given)


def test_weights_that_are_nan_are_named():
    model = network()
    nn.init.constant_(model[3].bias, float("nan"))
    with pytest.raises(InputError, match=r"`classifier`.*NaN"):
        attribute(model, images(), "logit_gradient", device="cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "name",
    [
        "logit_gradient",
        "smoothgrad(samples=3)",
        "captum(method=GradientShap)",
        "random",
        "excitation_pullback",
        "untrained",
        "blurred(of=excitation_pullback)",
    ],
)
def test_a_classifier_on_the_cpu_is_copied_to_the_device(name):
    model = network().double()
    expected = attribute_all(model, images(), name, device="cpu")
    stream = list(attribute(model, images(), name, device="cuda"))
    assert all(part.device.type == "cuda" for _, part in stream)
    assert next(model.parameters()).device.type == "cpu"
    if "Shap" not in name:  # Captum draws on the device, from the device's own generator
        torch.testing.assert_close(torch.cat([part.cpu() for _, part in stream]), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [3, 11])
def test_what_a_method_does_for_the_classifier_is_done_once_for_all_images(monkeypatch, batch_size):
    """An untrained copy of a large network takes longer than a batch's gradients."""
    module, made = importlib.import_module("gradaudit.attributions.untrained"), []
    monkeypatch.setattr(module, "untrained_copy", lambda *given: made.append(given) or untrained_copy(*given))
    found = attribute_all(network(), images(), "untrained", batch_size=batch_size, device="cpu")
    assert len(made) == 1
    torch.testing.assert_close(found, untrained(network(), images().floats(), images().labels))
