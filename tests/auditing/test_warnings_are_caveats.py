"""Every warning that a user must act on is a caveat of the verdict too, and stands on the page."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.report import write_page

SOURCE = Path(ga.__file__).parent
SAID = "the classifier seems to return probabilities"

# Where the library warns, and why a verdict need not say so; None where it does.
WARNINGS = {
    "attributions/_attribute.py": None,
    "classifiers/check.py": None,
    "classifiers/checkpoints.py": "what was left in the file is no part of the classifier",
    "classifiers/libraries/torchvision.py": "what is taken to be meant is said, or its accuracy shows it",
    "classifiers/load.py": "what is taken to be meant is said, or its accuracy shows it",
    "classifiers/logits.py": "what is taken as logits is what was meant, or its accuracy shows it",
    "datasets/flaws.py": "of the images, before anything is audited",
    "datasets/sources/npz.py": "of the images, before anything is audited",
    "evaluator/evaluator.py": "what was damaged is made again",
    "instruments/fidelity/finetuning.py": "what was damaged is made again",
    "lettering.py": "the figure shows what it says",
    "training/backends/local.py": "the work is done once more",
    "training/once.py": "what was damaged is made again",
    "training/store/store.py": "what was damaged is made again",
    "auditing/run.py": "what was damaged is made again",
    "instruments/diffroar/rankings.py": "what was damaged is made again",
    "instruments/diffroar/filled_images.py": "what was damaged is made again",
    "datasets/class_folders.py": "of the images, before anything is audited",
    "datasets/arrays.py": "of the images, before anything is audited",
}


class Noisy(nn.Module):
    """Another answer each time."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, images):
        return self.linear((images + 0.1 * torch.rand_like(images)).flatten(1))


@pytest.fixture(scope="module", name="tools")
def tools_fixture(mixture, halves, tmp_path_factory):
    mask = torch.zeros(len(halves[1]), 8, 8, dtype=torch.bool)
    mask[:, 2:6, 2:6] = True
    tangents = torch.linalg.qr(torch.randn(20, 64, 4, generator=torch.Generator().manual_seed(0))).Q.mT
    store = tmp_path_factory.mktemp("store")
    few, learner = halves[1][:20], ga.Recipe(network="linear", epochs=1)
    return {
        "fidelity": lambda model: ga.fidelity(model, few, fill="mean", device="cpu"),
        "trust_radius": lambda model: ga.trust_radius(model, few, sigma=(0.1,), copies=8, pairs=1, device="cpu"),
        "leakage": lambda model: ga.leakage(model, few, signal_mask=mask[:20], device="cpu"),
        "sensitivity": lambda model: ga.sensitivity(model, few, signal_mask=mask[:20], samples=1, device="cpu"),
        "alignment": lambda model: ga.alignment(model, few, mixture.denoiser(), sigma=(0.2,), device="cpu"),
        "contrast": lambda model: ga.contrast(model, halves[0], few, neighbours=3, controls=(), device="cpu"),
        "manifold_robustness": lambda model: ga.manifold_robustness(model, few, tangents, samples=1, device="cpu"),
        "robustness": lambda model: ga.robustness(model, few, eps=(0.1,), steps=2, device="cpu", store=store),
        "region_flips": lambda model: ga.region_flips(
            model, few[:2], method="apgd(steps=2)", controls=(), device="cpu", store=store
        ),
        "mask_recovery": lambda model: ga.mask_recovery(
            model, *halves, learner=learner, epochs=1, seeds=1, levels=(0.3,), fills=("zero",), device="cpu", store=store, workers=1
        ),
        "counterfactual": lambda model: ga.counterfactual(
            model, few[:2], "second", method="apgd(steps=2)", device="cpu", store=store
        ),
    }


INSTRUMENTS = (
    "contrast",
    "fidelity",
    "trust_radius",
    "leakage",
    "sensitivity",
    "alignment",
    "manifold_robustness",
    "robustness",
    "region_flips",
    "mask_recovery",
    "counterfactual",
)


def probabilities():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1))


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_probabilities_in_place_of_logits_are_a_caveat_of_every_instrument(tools, instrument):
    with pytest.warns(UserWarning, match="seems to return probabilities"):
        result = tools[instrument](probabilities())
    assert [one for one in result.verdict.caveats if one.startswith(SAID)]


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_a_classifier_whose_answers_are_drawn_is_a_caveat_of_every_instrument_once(tools, instrument):
    torch.manual_seed(0)
    result = tools[instrument](Noisy())
    assert len([one for one in result.verdict.caveats if "randomised" in one]) == 1


def test_a_caveat_stands_on_the_page(tools, tmp_path):
    with pytest.warns(UserWarning, match="probabilities"):
        result = tools["leakage"](probabilities())
    page = write_page(tmp_path / "a.html", title="a", results={"mine": result}, pictures=None, facts={}, command="", seconds=None)
    assert SAID[1:] in page.read_text()


def test_an_audit_says_it_first(halves, tmp_path):
    with pytest.warns(UserWarning, match="probabilities"):
        ready = ga.prepare_audit({"mine": probabilities()}, *halves, preset="quick", store=tmp_path, workers=1, device="cpu")
    assert ready.caveats[0].startswith(f"mine: {SAID}")


def test_every_warning_of_the_library_was_thought_about():
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"warnings\.warn\(", path.read_text(encoding="utf-8"))
    }
    assert found == set(WARNINGS)
