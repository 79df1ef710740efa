"""Leakage in an audit of images without a signal mask: of a classifier that was trained alike on blocks."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.auditing import prepare_audit
from gradaudit.instruments.contract import about

OTHERS = ("diffroar", "contrast", "counterfactual_differences", "fidelity", "trust_radius", "robustness", "alignment")
LEFT_OUT = dict.fromkeys((*OTHERS, "manifold_robustness", "counterfactual"), False)


class OfBlocks(nn.Module):
    """Reads the mean of as many rows of the upper half as it knows classes."""

    def __init__(self, classes: int = 3, height: int = 16) -> None:
        super().__init__()
        self.classes, self.height = classes, height

    def extra_repr(self):
        return f"{self.classes}, {self.height}"

    def forward(self, images):
        if images.shape[2] != self.height:
            raise RuntimeError("images of another height")
        return images[:, 0, : self.classes].mean(dim=2)


@pytest.fixture(scope="module")
def halves():
    mixture = ga.gaussian_mixture(classes=3, shape=(1, 8, 8), spread=0.08, seed=0)
    return mixture.bayes_classifier(0.1).float(), mixture.sample(60, seed=1), mixture.sample(40, seed=2)


def asked(halves, tmp_path, **more):
    own, train, test = halves
    words = {"preset": "quick", "options": LEFT_OUT, "store": tmp_path, "device": "cpu", "workers": 1} | more
    return prepare_audit({"own": own}, train, test, **words)


def test_a_given_classifier_of_blocks_is_measured_and_none_is_trained(halves, tmp_path):
    audit = asked(halves, tmp_path, on_blocks={"own": OfBlocks()})
    assert audit.estimate()["networks"].sum() == 0
    found = audit.run().results["own"]["leakage"]
    images = ga.blocks(halves[2], classes=(0, 1, 2), seed=0)
    direct = ga.leakage(OfBlocks(), images, controls=["random"], device="cpu")
    assert found.table.equals(direct.table)
    assert found.settings["trained_on"] == "blocks"
    assert "given as trained alike" in found.verdict.caveats[0]


def test_as_many_classes_are_made_blocks_of_as_it_knows(halves, tmp_path):
    audit = asked(halves, tmp_path, on_blocks={"own": OfBlocks(2)})
    found = audit.run().results["own"]["leakage"]
    assert found.settings["images"] == int((halves[2].labels < 2).sum())


def test_another_classifier_of_blocks_is_another_outcome(halves, tmp_path):
    few, all_of_them = (asked(halves, tmp_path, on_blocks={"own": OfBlocks(count)}).run() for count in (2, 3))
    assert few.results["own"]["leakage"].settings["images"] < all_of_them.results["own"]["leakage"].settings["images"] == 40


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"other": OfBlocks()}, "of audited classifiers: own"),
        ({"own": "zoo:mnist-blocks/robust"}, "an nn.Module"),
        ({"own": OfBlocks(height=8)}, r"a classifier of blocks of the images, of shape \(1, 16, 8\)"),
        ({"own": OfBlocks(4)}, "2 to 3 classes"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(halves, tmp_path, given, words):
    with pytest.raises(ga.InputError, match=rf"`on_blocks.*{words}"):
        _ = asked(halves, tmp_path, on_blocks=given).skipped


def test_quality_is_that_of_planted_maps(halves, tmp_path):
    result = asked(halves, tmp_path, on_blocks={"own": OfBlocks()}).run()
    (reading,) = result.answer["own"].readings
    row = result.results["own"]["leakage"].rows("null_top_0.1").loc["logit_gradient"]
    assert reading.value == pytest.approx(1 - row["value"] / row["chance"])
    assert (reading.low, reading.high) == pytest.approx((1 - row["high"] / row["chance"], 1 - row["low"] / row["chance"]))
    assert not reading.weighs
    assert reading.label == ("trust" if reading.low > 0.55 else "do not trust" if reading.high < 0.2 else "not settled")


def test_a_signal_smaller_than_the_top_has_no_such_quality():
    images = ga.gaussian_mixture(classes=2, shape=(1, 8, 8), spread=0.08, seed=0).sample(20, seed=1)
    mask = torch.zeros(20, 8, 8, dtype=torch.bool)
    mask[:, 0, 0] = True
    small = ga.leakage(OfBlocks(2, 8), images, signal_mask=mask, device="cpu")
    mask[:, :4] = True
    large = ga.leakage(OfBlocks(2, 8), images, signal_mask=mask, device="cpu")
    from gradaudit.instruments.contract import instrument

    assert not instrument(about("leakage").name).evidence(small)
    (found,) = instrument("leakage").evidence(large)
    assert found.score.value == pytest.approx(1)
