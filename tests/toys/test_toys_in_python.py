"""What is put into a registry's package is there by its name, with its options, wherever the library takes such a name."""

import pytest
import torch

import gradaudit as ga
from gradaudit.attributions import resolve_attribution
from gradaudit.attributions._control import control
from gradaudit.classifiers import build_network
from gradaudit.errors import InputError
from gradaudit.fills import resolve_fill
from gradaudit.instruments.counterfactual.measures import Evidence, measure
from gradaudit.instruments.diffroar.result import judged
from gradaudit.noise import generators, normal

TOY = "toy(strength=2)"


@pytest.fixture(name="data", scope="module")
def data_fixture(toys):
    return ga.load_images("toy")


@pytest.fixture(name="classifier", scope="module")
def classifier_fixture(toys, data):
    return ga.train(ga.Recipe(network="toy", epochs=1), data[0], device="cpu")


@pytest.fixture(name="denoiser", scope="module")
def denoiser_fixture(toys):
    return ga.load_denoiser("toy:anywhere(strength=2)")


def test_there_is_a_toy_of_every_kind(kinds):
    assert kinds[0] == kinds[1]


def test_options_are_told_where_one_is_wrong(toys):
    for kind, registry in toys.items():
        with pytest.raises(InputError, match=r"given options that toy has: .*strength=1"):
            registry.bind(kind, "toy(weight=2)")


def test_data(data):
    brighter, _ = ga.load_images(TOY)
    difference = brighter.images.int() - data[0].images.int()
    assert difference.unique().tolist() == [0, 50]
    assert torch.equal(ga.load_images("toy", strength=2)[0].images, brighter.images)


def test_libraries(toys):
    train, _ = ga.load_images("toy:abc(strength=2)")
    assert train.classes == ("a", "b", "c")
    assert train.images.unique().tolist() == [2]


def test_libraries_of_networks(toys):
    for name, weight in (("toy:any", 1), ("toy:any(strength=2)", 2)):
        network = build_network(name, (1, 2, 2), 3)
        assert network[1].weight.unique().tolist() == [weight]
        assert network(torch.ones(1, 1, 2, 2)).shape == (1, 3)


def test_nulls(data):
    made = ga.blocks(data[0], null=TOY)
    pixels = made.images[~made.signal_mask[:, None]]
    assert pixels.unique().tolist() == [2]


def test_networks_objectives_and_optimizers(data):
    recipe = ga.Recipe(network=TOY, objective=TOY, optimizer=TOY, epochs=1)
    assert (recipe.network, recipe.objective, recipe.optimizer) == (TOY, TOY, TOY)
    assert recipe.strength() == ("strength", 2)
    trained = ga.train(recipe, data[0], device="cpu")
    # Twice the loss is the same as twice the rate, and neither is the same as none of it.
    faster = ga.train(recipe.with_(objective="toy", optimizer="toy(strength=4)"), data[0], device="cpu")
    slower = ga.train(recipe.with_(objective="toy"), data[0], device="cpu")
    weights = [torch.cat([one.flatten() for one in each.parameters()]) for each in (trained, faster, slower)]
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert not torch.allclose(weights[0], weights[2], atol=1e-3)


def test_attributions(data, classifier):
    _, test = data
    assert torch.equal(ga.attribute_all(classifier, test, TOY, device="cpu"), 2 * test.floats())
    found = ga.leakage(classifier, test, attribution=TOY, controls=(), device="cpu")
    assert found.table["attribution"].unique().tolist() == [TOY]


def test_fills(data):
    fill = resolve_fill(TOY, data[0])
    kept = torch.full((2, 1, 8, 8), 0.9)
    filled = fill(kept, torch.arange(8).expand(2, 1, 8, 8) < 4)
    assert fill.name == TOY
    assert filled[..., :4].unique().tolist() == pytest.approx([0.9])
    assert filled[..., 4:].unique().tolist() == pytest.approx([0.2])


def test_fills_and_backends_that_retrain(data, classifier, toy_of, tmp_path):
    found = ga.diffroar(
        classifier,
        *data,
        TOY,
        evaluate="retrain",
        learner=ga.Recipe(network=TOY, epochs=1),
        levels=(0.5,),
        seeds=1,
        controls=(),
        fill=TOY,
        mask_only=False,
        backend=TOY,
        workers=1,
        store=tmp_path,
        device="cpu",
    )
    assert found.settings["fill"] == TOY
    assert found.table["attribution"].tolist() == [TOY]
    assert {*toy_of("backends").Toy.ran} == {2}


def test_attacks(data, classifier, tmp_path):
    found = ga.robustness(classifier, data[1], eps=(0.0, 0.2), attack=["toy", TOY], store=tmp_path, device="cpu")
    assert {"toy", TOY} <= {*found.table["attack"]}


def test_gradients_scores_and_similarities(data, classifier, denoiser):
    found = ga.alignment(classifier, data[1], denoiser, gradient=TOY, score=TOY, similarity=[TOY, "cosine"], device="cpu")
    own = found.table[found.table["similarity"] == TOY]
    assert {*own["score"]} == {TOY}
    assert TOY in {*own["gradient"]}
    assert own["value"].tolist() == pytest.approx([0.2] * len(own))


def test_tangents(data, toy_of):
    found = ga.tangent_spaces(data[1], toy_of("tangents").Toy(), strength=2, device="cpu")
    assert found.shape == (len(data[1]), 2, 64)


def test_methods_and_measures(data, classifier, tmp_path):
    test = data[1][:6]
    found = ga.counterfactual(classifier, test, "second", method=[TOY, "toy"], store=tmp_path, device="cpu")
    assert found.methods == (TOY, "toy")
    assert found.table["toy"].tolist() == [1.0] * 12  # a measure that is there is taken
    brighter = found.images[found.rows(TOY).index].float() / 255
    assert torch.allclose(brighter, (test.floats() + 0.2).clamp(0, 1), atol=1 / 255)
    evidence = Evidence(classifier, test.floats(), brighter, test.labels, 1 - test.labels, tuple(range(6)))
    assert measure(evidence, [TOY])[0]["toy"].tolist() == [2.0] * 6


def test_regions(data, classifier, tmp_path):
    test = data[1][:6]
    found = ga.counterfactual(classifier, test, "second", method="toy", region=TOY, store=tmp_path, device="cpu")
    moved = (torch.as_tensor(found.images) != test.images).any(dim=(0, 1, 3))
    assert moved.tolist() == [True] * 2 + [False] * 6


def test_methods_are_shown_the_helpers_that_they_do_not_say_they_do_without(data, classifier, toy_of, monkeypatch, tmp_path):
    asked = []
    plain = toy_of("methods").toy

    def toy(problem, *, strength=1):
        asked.append(problem.robust is not None)
        return plain(problem, strength=strength)

    monkeypatch.setattr(toy_of("methods"), "toy", toy)
    robust = ga.train(ga.Recipe(network="toy", epochs=1, seed=1), data[0], device="cpu")
    ga.counterfactual_differences(classifier, data[1][:4], "second", robust=robust, method="toy", store=tmp_path, device="cpu")
    assert {*asked} == {True}


def test_guided_samplers(data, classifier, denoiser, tmp_path):
    method = {"name": "dvce", "steps": 4, "guidance": "none", "sampler": TOY}
    found = ga.counterfactual(classifier, data[1][:2], "second", denoiser, method=method, store=tmp_path, device="cpu")
    assert found.images.unique().tolist() == [round(255 * (0.5 + 1) / 2)]  # half of what a process on [-1, 1] has


def test_denoisers(data, denoiser):
    assert denoiser.description["place"] == "anywhere"
    assert denoiser(torch.full((1, 1, 8, 8), 0.5), 1.0).unique().tolist() == [0.5]
    assert ga.load_denoiser("toy:anywhere")(torch.full((1, 1, 8, 8), 0.5), 1.0).unique().tolist() == [0.375]


def test_denoiser_networks_and_samplers(data):
    recipe = ga.DenoiserRecipe(network=TOY, epochs=1, precision="fp32")
    made = ga.train_denoiser(recipe, data[0], device="cpu")
    assert made.denoise.network.strength == 2
    assert ga.sample(made, 2, sampler=TOY, device="cpu").unique().tolist() == [0.5]


def test_controls(data, toy_of, monkeypatch, tmp_path):
    """A control that does not look at images is no rival: nothing has to beat it by name."""

    @control(knows_images=False)
    def toy(classifier, images, targets, *, seed=0):
        return normal(generators(images, seed + 1), images)

    assert not resolve_attribution(toy).knows_images
    monkeypatch.setattr(toy_of("attributions"), "toy", toy)
    train, test = data
    found = ga.diffroar(
        ga.train(ga.Recipe(network="toy", epochs=1), train, device="cpu"),
        train,
        test,
        "logit_gradient",
        evaluator=ga.Recipe(network="mlp(width=8)", epochs=1),
        gap=0,
        levels=(0.5,),
        seeds=2,
        controls=("toy", "edges"),
        workers=1,
        store=tmp_path,
        device="cpu",
    )
    assert found.details["blind"] == ["toy"]

    def lead(mean):
        return [{"level": 0.5, "mean": mean, "low_all": mean - 0.1, "high_all": mean + 0.1}]

    table = found.table.assign(values=1 + 0.01 * found.table["seed"])
    details = found.details | {"against": {"logit_gradient": {"toy": lead(-1.0), "edges": lead(1.0)}}}
    assert judged(table, found.settings, details).verdict.label == "more than edges"
    assert judged(table, found.settings, details | {"blind": []}).verdict.label == "no more than toy"
