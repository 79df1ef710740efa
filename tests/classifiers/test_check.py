import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gradaudit.classifiers import check_classifier, load_classifier, normalised, two_logits
from gradaudit.errors import InputError
from gradaudit.images import ImageSet

IMAGES = ImageSet(
    torch.randint(0, 256, (5, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.arange(5) % 3,
    ("a", "b", "c"),
)


FIRST = torch.tensor([1.0, 0, 0, 0])


class Function(nn.Module):
    """A module of one function of the flattened images and a weight (36, 4)."""

    def __init__(self, function: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(36, 4, generator=torch.Generator().manual_seed(1)))

    def forward(self, images: Tensor) -> object:
        return self.function(images.flatten(1), self.weight)


class BatchStatistics(nn.Sequential):
    """Normalises by the batch that it sees, in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.BatchNorm1d(36, track_running_stats=False), nn.Linear(36, 4))


GOOD = [
    nn.Sequential(nn.Flatten(), nn.Linear(36, 3)),
    nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Dropout(), nn.Linear(36, 5)),
    nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double(),
    normalised(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), "mnist"),
    Function(lambda x, w: (x @ w).log_softmax(1)),
]


@pytest.mark.parametrize("classifier", GOOD)
@pytest.mark.parametrize("count", [1, 5])
def test_a_good_classifier_passes_and_is_left_as_it_was(classifier: nn.Module, count: int) -> None:
    classifier.train()
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    with torch.no_grad():
        check_classifier(classifier, IMAGES[:count])
    assert all(module.training for module in classifier.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.parameters())
    assert all(torch.equal(classifier.state_dict()[name], value) for name, value in state.items())


def test_mixed_modes_are_restored() -> None:
    classifier = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36).eval(), nn.Linear(36, 3))
    check_classifier(classifier, IMAGES)
    assert [module.training for module in classifier.modules()] == [True, True, False, True]


BAD = {
    "no module": (lambda x: x, "an nn.Module from images"),
    "a class": (nn.Linear, "an nn.Module from images"),
    "another input": (nn.Linear(5, 3), r"able to take images of shape \(2, 1, 6, 6\).*forward raised RuntimeError"),
    "another normalisation": (normalised(nn.Flatten(), "cifar10"), "its forward raised InputError"),
    "a tuple of maps": (Function(lambda x, w: ((x @ w)[:, :, None], x)), "returned a tuple"),
    "a dictionary": (Function(lambda x, w: {"probabilities": x @ w, "loss": 1}), "returned a dict of probabilities, loss"),
    "text under logits": (Function(lambda x, w: {"logits": "none"}), "returned a dict of logits"),
    "integers": (Function(lambda x, w: (x @ w).argmax(1, keepdim=True).expand(2, 3)), "floating-point logits"),
    "one logit": (Function(lambda x, w: (x @ w)[:, :1]), r"two_logits\(classifier\); for 2 images it returned \(2, 1\)"),
    "one number": (Function(lambda x, w: (x @ w)[:, 0]), r"two_logits\(classifier\)"),
    "a map": (Function(lambda x, w: (x @ w)[:, :, None]), r"logits \(N, K\); for 2 images it returned \(2, 4, 1\)"),
    "a mean over the batch": (Function(lambda x, w: (x @ w).mean(0, keepdim=True)), r"it returned \(1, 4\)"),
    "too few logits": (Function(lambda x, w: (x @ w)[:, :2]), "at least 3 logits, one a class; it has 2"),
    "NaN": (Function(lambda x, w: (x @ w) * float("nan")), "finite logits"),
    "detached": (Function(lambda x, w: (x @ w).detach()), "no gradient reaches it"),
    "numpy inside": (Function(lambda x, w: torch.from_numpy(x.detach().numpy()) @ w), "no gradient reaches it"),
    "constant": (Function(lambda x, w: w.detach().clone().requires_grad_()[:2]), "no gradient reaches it"),
    "NaN gradient": (Function(lambda x, w: (x * 0).sqrt() @ w), "finite gradients"),
    "batch statistics": (BatchStatistics(), "treats every image by itself"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_classifier_is_named_with_what_is_wrong(name: str) -> None:
    classifier, expected = BAD[name]
    with pytest.raises(InputError, match=rf"`audited` .*{expected}"):
        check_classifier(classifier, IMAGES, "audited")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    classifier = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Linear(36, 3))
    classifier[1].running_var[3] = value
    with pytest.raises(InputError, match=r"`1\.running_var` holds 1 NaN or infinite"):
        check_classifier(classifier, IMAGES)


def test_probabilities_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="seems to return probabilities"):
        check_classifier(Function(lambda x, w: (x @ w).softmax(1)), IMAGES)


def test_a_gradient_of_zero_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="gradient of zero everywhere"):
        check_classifier(Function(lambda x, w: x.round() @ w), IMAGES)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x, w: x @ w, ()),
        (lambda x, w: (x @ w).softmax(1), ("seems to return probabilities",)),
        (lambda x, w: x.round() @ w, ("has a gradient of zero everywhere",)),
        (lambda x, w: (x + torch.rand_like(x)) @ w, ("is randomised",)),
    ],
)
def test_what_must_be_known_of_any_figure_comes_back_as_caveats(function, said) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_classifier(Function(function), IMAGES).caveats
        other = check_classifier(Function(function), IMAGES, "robust").caveats
    assert len(found) == len(said)
    assert all(one.startswith(f"the classifier {words}") for one, words in zip(found, said, strict=True))
    assert all(one.startswith(f"robust {words}") for one, words in zip(other, said, strict=True))


def test_a_change_from_call_to_call_is_named_with_its_size_wherever_it_is() -> None:
    """Each call adds a quarter to the first logit of the one image in the middle, and to no other."""
    calls = iter(range(100))
    function = Function(lambda x, w: x @ w + next(calls) / 4 * (x == IMAGES.floats([2]).flatten(1)).all(1, keepdim=True) * FIRST)
    (caveat,) = check_classifier(function, IMAGES).caveats
    assert "gives other outputs for the same images from call to call (a logit by up to 0.25)" in caveat


def test_dropout_that_is_left_on_is_named_though_the_probabilities_are_saturated() -> None:
    classifier = Function(lambda x, w: 1e4 * nn.functional.dropout(x, 0.01) @ w)
    assert check_classifier(classifier, IMAGES).randomised
    with torch.no_grad():
        assert all(torch.equal(classifier(IMAGES.floats()).softmax(1).amax(1), torch.ones(5)) for _ in range(3))
    assert not check_classifier(Function(lambda x, w: 1e4 * x @ w), IMAGES).randomised


def test_a_warning_points_at_the_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_classifier(Function(lambda x, w: (x @ w).softmax(1)), IMAGES)
    assert caught[0].filename == __file__


def test_two_logits_makes_a_single_logit_pass() -> None:
    two_classes = ImageSet(IMAGES.images, IMAGES.labels % 2, ("a", "b"))
    for function in (lambda x, w: (x @ w)[:, :1], lambda x, w: (x @ w)[:, 0]):
        check_classifier(two_logits(Function(function)), two_classes)


def test_two_logits_have_the_probability_of_the_sigmoid() -> None:
    single = Function(lambda x, w: (x @ w)[:, 0])
    images = torch.rand(3, 1, 6, 6)
    torch.testing.assert_close(two_logits(single)(images).softmax(1)[:, 1], single(images).sigmoid())


def test_a_loaded_module_passes() -> None:
    check_classifier(load_classifier(nn.Sequential(nn.Flatten(), nn.Linear(36, 3))), IMAGES)
