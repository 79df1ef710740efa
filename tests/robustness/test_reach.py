"""A radius beyond all distances of images is taken for one in pixel values of 0 to 255."""

import pytest
import torch

import gradaudit as ga
from gradaudit.instruments.robustness.instrument import radii
from gradaudit.instruments.robustness.options import RobustnessInAudit
from gradaudit.instruments.sweep.families import read_families
from gradaudit.training import OBJECTIVES

MEANT = r"`eps` \(=8(\.0)?\) must be at most {most}, .* eps is in pixel values of \[0, 1\]\. Was 8/255 \(=0\.03137\) meant\?"
LINF, L2 = MEANT.format(most="1"), MEANT.format(most="6")


@pytest.mark.parametrize(("norm", "message"), [("linf", LINF), ("l2", L2)])
@pytest.mark.parametrize("attack", ["pgd", "autoattack", ["gaussian", "pgd(steps=2)"], lambda c, x, y, *, norm, eps: x])
def test_robustness_asks_whether_it_was_meant(linear, norm, message, attack):
    for eps in (8, (0.0, 0.1, 8)):
        with pytest.raises(ga.InputError, match=message):
            ga.robustness(linear.classifier(), linear.images(4), norm=norm, eps=eps, attack=attack, device="cpu")


def test_pgd_and_the_objectives_ask_too(linear):
    images, labels = torch.full((2, 1, 6, 6), 0.5), torch.tensor([0, 1])
    with pytest.raises(ga.InputError, match=LINF):
        ga.pgd(linear.classifier(), images, labels, norm="linf", eps=8)
    for name in ("adversarial", "trades"):
        with pytest.raises(ga.InputError, match=LINF):
            OBJECTIVES.bind("objective", f"{name}(norm=linf, eps=8)")(linear.classifier(), images, labels)


def test_a_sweeps_families_ask_before_any_training():
    with pytest.raises(ga.InputError, match=LINF):
        read_families({"adversarial": (0.1, 8)}, "linf")
    assert read_families("adversarial")[0].strengths[-1] == 8.0  # in l2, where images of 28 x 28 are up to 28 apart


def test_an_audit_asks_before_its_first_instrument(linear):
    images = linear.images(40)
    assert radii(images, RobustnessInAudit()) == (0.0, 0.1, 0.2, 0.3)
    with pytest.raises(ga.InputError, match=LINF):
        radii(images, RobustnessInAudit(eps=(0, 8)))
    with pytest.raises(ga.InputError, match=LINF):
        ga.prepare_audit(linear.classifier(), images, images, preset="quick", options={"robustness": {"eps": [0, 8]}})
