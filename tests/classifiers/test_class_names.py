"""What a classifier says of the order of its logits, and images in another."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.classifiers import check_classifier, misplaced, normalised
from gradaudit.classifiers.class_names import named

IMAGES = ga.ImageSet(torch.arange(4 * 12).reshape(4, 3, 2, 2).to(torch.uint8), [0, 1, 1, 0], ("cat", "dog"))


def network(count=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, count))


def with_config(names):
    module = network()
    module.config = SimpleNamespace(id2label=names)
    return module


@pytest.mark.parametrize(
    ("classifier", "names"),
    [
        (network(), None),
        (named(network(), ("a", "b", "c")), ("a", "b", "c")),
        (normalised(named(network(), ("a", "b", "c")), "imagenet"), ("a", "b", "c")),
        (with_config({0: "a", 1: "b", 2: "c"}), ("a", "b", "c")),
        (with_config({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}), None),
        (with_config({1: "a", 2: "b"}), None),
        (with_config(None), None),
        (named(network(), None), None),
    ],
)
def test_names_are_found_where_a_library_keeps_them(classifier, names):
    assert ga.class_names(classifier) == names


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (("cat", "dog"), False),
        (("cat", "dog", "tree"), False),
        (("dog", "cat"), True),
        (("tree", "cat", "dog"), True),
        (("lion", "tiger"), False),
        (("lion", "dog"), False),
        (None, False),
    ],
)
def test_labels_are_misplaced_where_all_their_names_stand_elsewhere(names, wrong):
    assert misplaced(IMAGES, names) == wrong
    classifier = named(network(), names)
    if not wrong:
        assert check_classifier(classifier, IMAGES).classifier is classifier
        return
    with pytest.raises(ga.InputError, match=r"`classifier` \(='Sequential'\).*by its own names they are .*in_order"):
        check_classifier(classifier, IMAGES)
    assert check_classifier(classifier, ga.in_order(IMAGES, names)).classifier is classifier


def test_images_in_the_order_of_the_logits_keep_pixels_names_and_masks():
    masked = ga.ImageSet(IMAGES.images, IMAGES.labels, IMAGES.classes, torch.ones(4, 2, 2, dtype=torch.bool))
    found = ga.in_order(masked, ["tree", "dog", "cat"])
    assert found.classes == ("tree", "dog", "cat")
    assert [found.classes[label] for label in found.labels] == [masked.classes[label] for label in masked.labels]
    assert torch.equal(found.images, masked.images)
    assert torch.equal(found.signal_mask, masked.signal_mask)


@pytest.mark.parametrize("names", [("cat",), ("cat", "dog", "cat"), ("Cat", "dog")])
def test_a_name_that_is_absent_or_there_twice_is_named(names):
    with pytest.raises(ga.InputError, match=r"`classes` .*not there once: (dog|cat)"):
        ga.in_order(IMAGES, names)
