"""Whether a classifier seems to be the one that was meant, and the order of its classes."""

import pytest
import torch

import gradaudit as ga
from gradaudit.auditing.description import accuracy_caveats
from gradaudit.classifiers import in_order
from gradaudit.errors import InputError


def images(labels, classes=("a", "b", "c")):
    return ga.ImageSet(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), torch.as_tensor(labels), classes)


def test_a_classifier_that_is_right_raises_no_caveat():
    labels = torch.arange(60) % 3
    nearly = torch.where(torch.arange(60) < 15, 0, labels)
    assert accuracy_caveats(images(labels), {"right": labels, "nearly": nearly}) == []


def test_a_constant_answer_is_named_with_its_share():
    labels = [0] * 30 + [1] * 20 + [2] * 10
    (said,) = accuracy_caveats(images(labels), {"constant": torch.zeros(60, dtype=torch.int64), "right": torch.tensor(labels)})
    assert said.startswith("constant gives 50 % of the test images their label, and a constant answer 50 %: are its weights")


def test_another_order_is_named_where_it_would_be_much_better():
    labels = torch.arange(60) % 3
    turned = torch.tensor([2, 0, 1])[labels]  # output 0 stands for class b, 1 for c, 2 for a
    swapped = torch.tensor([1, 0, 2])[labels]
    for seen, order in ((turned, "b, c, a"), (swapped, "b, a, c")):
        (said,) = accuracy_caveats(images(labels), {"mine": seen})
        assert f"were its outputs {order} in this order, 100 %" in said


def test_no_order_is_named_that_may_fit_by_chance():
    """With an image a class, some order is right about every image whose class is seen once."""
    labels, rng = torch.arange(200), torch.Generator().manual_seed(0)
    names = tuple(map(str, range(200)))
    seen = torch.where(torch.arange(200) < 110, labels, torch.randint(0, 200, (200,), generator=rng))
    assert accuracy_caveats(images(labels, names), {"fair": seen}) == []
    random = torch.randint(0, 10, (60,), generator=rng)
    (said,) = accuracy_caveats(images(torch.arange(60) % 10, names[:10]), {"random": random})
    assert "were its outputs" not in said


def test_outputs_beyond_the_images_classes_count_as_wrong():
    labels = torch.arange(60) % 3
    (said,) = accuracy_caveats(images(labels), {"more": labels + 7})
    assert "gives 0 %" in said
    assert "in this order" not in said


def test_names_and_labels_are_brought_in_order_together():
    given = ga.ImageSet(
        torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 1, 2, 2),
        torch.tensor([0, 1, 2]),
        ("a", "b", "c"),
        torch.ones(3, 2, 2, dtype=torch.bool),
    )
    found = in_order(given, ["c", "a", "b"])
    assert found.classes == ("c", "a", "b")
    assert [found.classes[label] for label in found.labels] == ["a", "b", "c"]
    assert torch.equal(found.images, given.images)
    assert found.signal_mask is not None


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "d"], ["a", "a", "b"]])
def test_other_names_are_refused(names):
    with pytest.raises(InputError, match="classes"):
        in_order(images([0, 1, 2]), names)


OFF = (
    *("diffroar", "counterfactual_differences", "counterfactual", "contrast", "fidelity", "trust_radius", "leakage", "alignment"),
    "manifold_robustness",
)


def test_test_images_that_stand_in_the_training_set_are_told_first_and_once(tmp_path, arguments):
    train, test = arguments["train"], arguments["test"]
    pixels, labels = (torch.cat([getattr(test, part)[:40], getattr(train, part)[:20]]) for part in ("images", "labels"))
    mixed = ga.ImageSet(pixels, labels, test.classes)
    options = {**dict.fromkeys(OFF, False), "robustness": {"steps": 1, "eps": [0.1]}}

    def ready(tested):
        classifier = arguments["classifiers"]["bayes"]
        return ga.prepare_audit(classifier, train, tested, preset="quick", options=options, store=tmp_path / "store", device="cpu")

    told = "20 of the 60 test images (33.3%) stand in the training set too"
    assert [caveat for caveat in ready(mixed).caveats if told in caveat] == ready(mixed).caveats
    page = ready(mixed).run().write(tmp_path / "report").read_text(encoding="utf-8")
    assert page.count("stand in the training set too") == 1
    assert ready(test).caveats == []
