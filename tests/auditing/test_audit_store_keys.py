"""What one audit has computed, another takes from the store: a key holds what decides that result and no more."""

from types import SimpleNamespace

import pytest

import gradaudit as ga
from gradaudit.instruments.contract import audited as kinds
from gradaudit.instruments.contract import instrument
from gradaudit.instruments.counterfactual.search import Search


@pytest.fixture(name="run")
def run_fixture(arguments, audited, tmp_path, monkeypatch):
    """A function that audits with changes, and returns what had to be computed for it: pairs of classifier and instrument.

    An instrument's result is one that it gave before, for time; whether it is asked for one is what is looked at.
    """
    done = []

    def counting(kind):
        def work(setup, name, options):
            done.append((name, kind))
            return audited[0].results["mlp"][kind]

        one = instrument(kind)
        hooks = {hook: getattr(one, hook) for hook in ("lacks", "uses", "cost", "scores", "changes", "evidence")}
        return SimpleNamespace(**hooks, measure=work)

    monkeypatch.setattr("gradaudit.auditing.run.instrument", counting)
    base = arguments | {"denoiser": None, "store": tmp_path, "classifiers": {"mlp": arguments["classifiers"]["mlp"]}}

    def run(**changes):
        done.clear()
        ga.audit(**base | changes)
        return {*done}

    return run


def of(name, *instruments):
    return {(name, instrument) for instrument in instruments}


OF_VALUES = ("diffroar", "counterfactual_differences")


@pytest.mark.parametrize("evaluate", ["values", "retrain"])
def test_another_classifier_leaves_the_first_ones_results(run, arguments, classifiers, evaluate):
    """All but those of evaluators, which are trained under the masks of every classifier of the audit."""
    options = arguments["options"] | {name: arguments["options"][name] | {"evaluate": evaluate} for name in OF_VALUES}
    oracles = {"judge": classifiers["bayes"]}
    third = ga.train(ga.Recipe(network="mlp(width=8)", epochs=1), ga.gaussian_mixture(classes=3, shape=(1, 8, 8)).sample(60, 3))
    assert run(oracles=oracles, options=options) == of("mlp", *set(kinds()) - {"alignment"})
    both = {"mlp": classifiers["mlp"], "third": third}
    again = of("mlp", *OF_VALUES) if evaluate == "values" else set()
    assert run(oracles=oracles, options=options, classifiers=both) == of("third", *set(kinds()) - {"alignment", "leakage"}) | again
    swapped = {"third": third, "mlp": classifiers["mlp"]}
    assert run(oracles=oracles, options=options, classifiers=swapped) == set()


def test_a_new_judge_asks_again_and_changes_nothing_again(arguments, classifiers, tmp_path, monkeypatch):
    """Without oracles the other audited classifiers judge counterfactuals; these are the same, and are not made again."""
    made, batch = [], Search._batch
    monkeypatch.setattr(Search, "_batch", lambda self, *rest: made.append(self.owners["classifier"]) or batch(self, *rest))
    off = dict.fromkeys(kinds(), False) | {"counterfactual": arguments["options"]["counterfactual"]}
    given = arguments | {"options": off, "store": tmp_path}
    first = ga.audit(**given | {"classifiers": {"mlp": classifiers["mlp"]}, "recipes": {}})
    (mlp,) = {*made}
    both = ga.audit(**given)
    assert made.count(mlp) == 1
    one, other = (found.results["mlp"]["counterfactual"] for found in (first, both))
    assert one.oracles == ()
    assert other.oracles == ("bayes",)
    assert one.details["images"] == other.details["images"]


def test_a_denoiser_leaves_what_does_not_ask_it(run, mixture):
    run()
    assert run(denoiser=mixture.denoiser()) == of("mlp", "alignment")


def test_a_helper_and_an_oracle_are_for_counterfactuals_and_an_oracle_for_flips_by_region(run, classifiers):
    run()
    assert run(robust=classifiers["bayes"]) == of("mlp", "counterfactual")
    assert run(oracles={"bayes": classifiers["bayes"]}) == of("mlp", "counterfactual", "region_flips")


def test_a_recipe_is_for_leakage_alone(run, recipe):
    run()
    assert run(recipes={"mlp": recipe.with_(epochs=1)}) == of("mlp", "leakage")


def test_other_training_images_leave_what_looks_at_test_images_alone(run, arguments):
    run()
    train = arguments["train"][1:]
    assert run(train=train) == of("mlp", *set(kinds()) - {"trust_radius", "robustness", "alignment", "region_flips"})


def test_other_images_seeds_and_options_are_other_results(run, arguments):
    off = dict.fromkeys(kinds(), False) | {"robustness": {"images": 10, "steps": 1, "eps": [0.0, 0.1]}, "test_images": 40}
    robustness = of("mlp", "robustness")
    assert run(options=off) == robustness
    assert run(options=off) == set()
    assert run(options=off, seed=1) == robustness
    assert run(options=off, test=arguments["test"][1:]) == robustness
    assert run(options=off | {"robustness": {"images": 10, "steps": 2, "eps": [0.0, 0.1]}}) == robustness
