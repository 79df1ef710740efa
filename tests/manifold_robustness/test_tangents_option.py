"""The option `tangents`: one reading for the command, the audit and the sweep."""

from types import SimpleNamespace

import pytest
import torch

import gradaudit as ga
from gradaudit.diffusion.autoencoder import Autoencoder, save_autoencoder
from gradaudit.errors import InputError
from gradaudit.instruments.setup import Run, Setup
from gradaudit.instruments.tangents import read_tangents

MIXTURE = ga.gaussian_mixture(classes=2, shape=(1, 4, 4), intrinsic_dim=3)
OTHER = ga.gaussian_mixture(classes=2, shape=(1, 4, 4), intrinsic_dim=3, seed=5)
MODULE = """import gradaudit as ga

def denoiser():
    return ga.gaussian_mixture(classes=2, shape=(1, 4, 4), intrinsic_dim=3, seed=5).denoiser()
"""


@pytest.fixture(name="setup")
def setup_fixture():
    run = SimpleNamespace(seed=3, device=torch.device("cpu"))
    return SimpleNamespace(train=MIXTURE.sample(60), denoiser=MIXTURE.denoiser(), run=run)


def test_neighbours_are_looked_for_among_the_training_images(setup):
    floats = MIXTURE.sample(5, seed=1).floats()
    expected = ga.tangent_spaces(floats, setup.train, neighbours=9, dimensions=2, device="cpu")
    given = ("neighbours(neighbours=9, dimensions=2)", {"name": "neighbours", "neighbours": 9, "dimensions": 2})
    for one in given:
        assert torch.equal(read_tangents("tangents", one).spaces(setup)(floats), expected)


def test_a_denoiser_without_a_name_is_that_of_the_setup_and_one_with_a_name_its_own(setup, tmp_path, monkeypatch):
    (tmp_path / "named_denoiser.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    floats = MIXTURE.sample(5, seed=1).floats()
    options = {"sigma": 0.1, "dimensions": 3, "seed": 3, "device": "cpu"}
    found = {}
    for text, source in (("", MIXTURE), ('"named_denoiser:denoiser", ', OTHER)):
        tangents = read_tangents("tangents", f"denoiser({text}sigma=0.1, dimensions=3)")
        assert tangents.needs_denoiser == (text == "")
        found[text] = tangents.spaces(setup)(floats)
        assert torch.equal(found[text], ga.tangent_spaces(floats, source.denoiser(), **options))
    assert not torch.allclose(*found.values(), atol=0.1)


def test_a_file_is_an_autoencoder(setup, tmp_path):
    saved = Autoencoder((1, 4, 4), latent=2, width=4)
    file = str(save_autoencoder(tmp_path / "it.safetensors", saved))
    floats = MIXTURE.sample(5, seed=1).floats()
    found = read_tangents("tangents", file).spaces(setup)(floats)
    assert torch.allclose(found, ga.tangent_spaces(floats, saved.eval(), device="cpu"), atol=1e-6)


def test_only_a_denoiser_costs_passes_through_one(tmp_path):
    mixture, store = ga.gaussian_mixture(classes=2, shape=(1, 4, 4), spread=0.1, seed=0), ga.Store(tmp_path)
    images = mixture.sample(60, seed=1)
    setup = Setup({}, {}, images, images, mixture.denoiser(), None, {}, Run(0, store, 1, "local", torch.device("cpu"), False))
    assert read_tangents("tangents", "neighbours(dimensions=4)").cost(10, setup).denoised == 0
    one, other = (read_tangents("tangents", f"denoiser(dimensions={count})").cost(10, setup).denoised for count in (8, 24))
    assert other == 2 * one > 0


@pytest.mark.parametrize(
    "given",
    ["tea", "", "neighbours(20)", "denoiser(3)", 'denoiser("a", "b")', "denoiser(seed=1)", "neighbours(device=cpu)", 3, None],
)
def test_what_means_nothing_is_named(given):
    with pytest.raises(InputError, match=r"^`--tangents`"):
        read_tangents("--tangents", given)


def test_an_audit_keeps_results_by_the_denoiser_that_is_used(tmp_path, monkeypatch):
    (tmp_path / "named_denoiser.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    train, test = MIXTURE.sample(60), MIXTURE.sample(20, seed=1)
    off = dict.fromkeys(
        (
            "diffroar",
            "counterfactual_differences",
            "contrast",
            "fidelity",
            "trust_radius",
            "leakage",
            "robustness",
            "alignment",
            "counterfactual",
        ),
        False,
    )

    def robustness_of(tangents, denoiser):
        options = off | {"manifold_robustness": {"tangents": tangents, "samples": 1, "radius": 0.5}}
        how = {"store": tmp_path / "store", "device": "cpu", "denoiser": denoiser, "options": options}
        result = ga.audit(MIXTURE.bayes_classifier(), train, test, preset="quick", **how).results["classifier"][
            "manifold_robustness"
        ]
        return result.settings["tangents"], result.per_image().tolist()

    own, named = "denoiser(sigma=0.1, dimensions=3)", 'denoiser("named_denoiser:denoiser", sigma=0.1, dimensions=3)'
    assert robustness_of(named, MIXTURE.denoiser()) == (named, robustness_of(own, OTHER.denoiser())[1])
    assert robustness_of(own, MIXTURE.denoiser())[1] != robustness_of(own, OTHER.denoiser())[1]
    with pytest.raises(InputError, match="none was given"):
        robustness_of(own, None)
