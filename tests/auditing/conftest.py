import pytest

import gradaudit as ga

EVALUATOR = {"network": "mlp(width=16)", "epochs": 1}
SMALL = {
    "train_images": 220,
    "test_images": 60,
    "diffroar": {"levels": [0.1, 0.4], "seeds": 2, "controls": ["random"], "evaluator": EVALUATOR},
    "leakage": {"epochs": 1, "controls": ["random"]},
    "robustness": {"images": 20, "steps": 2, "eps": [0.0, 0.1]},
    "alignment": {"images": 20},
    "manifold_robustness": {"images": 10, "tangents": "neighbours(neighbours=20, dimensions=4)", "samples": 2},
    "counterfactual": {"images": 3, "method": ["apgd(steps=3)"]},
    "region_flips": {"images": 3, "method": "apgd(steps=2)", "levels": [0.3], "controls": ["random"]},
    "counterfactual_differences": {
        "method": "apgd(steps=2)",
        "test_images": 30,
        "levels": [0.1, 0.4],
        "seeds": 2,
        "controls": [],
        "evaluator": EVALUATOR,
    },
}


@pytest.fixture(scope="session")
def mixture():
    return ga.gaussian_mixture(classes=3, shape=(1, 8, 8), spread=0.08, seed=0)


@pytest.fixture(scope="session")
def halves(mixture):
    return mixture.sample(240, seed=1), mixture.sample(80, seed=2)


@pytest.fixture(scope="session")
def recipe():
    return ga.Recipe(network="mlp(width=16)", epochs=2, precision="fp32")


@pytest.fixture(scope="session")
def classifiers(mixture, halves, recipe):
    return {"bayes": mixture.bayes_classifier(0.1).float(), "mlp": ga.train(recipe, halves[0], device="cpu")}


@pytest.fixture(scope="session")
def arguments(mixture, halves, recipe, classifiers):
    """What the small audit of most tests is made of."""
    return {
        "classifiers": classifiers,
        "train": halves[0],
        "test": halves[1],
        "preset": "quick",
        "denoiser": mixture.denoiser(),
        "recipes": {"mlp": recipe},
        "options": SMALL,
        "workers": 1,
        "device": "cpu",
    }


@pytest.fixture(scope="session")
def audited(arguments, tmp_path_factory):
    """A finished audit, and the store that has it."""
    store = tmp_path_factory.mktemp("audited")
    return ga.audit(**arguments, store=store), store


@pytest.fixture(scope="session")
def written(audited, tmp_path_factory):
    """The folder of that audit's report, which tests leave as it is."""
    return audited[0].write(tmp_path_factory.mktemp("written") / "report").parent
