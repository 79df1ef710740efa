"""The bytes that instruments are going to take: known of each, and larger where more is held at once."""

from dataclasses import replace

import pytest
import torch

import gradaudit as ga
from gradaudit.batching import bytes_per_image
from gradaudit.instruments.contract import instrument
from gradaudit.instruments.costs import GRADIENT, WORKER, denoiser_bytes, of_workers, seconds_more
from gradaudit.instruments.counterfactual.arguments import resolve_methods
from gradaudit.instruments.counterfactual.instrument import walking_bytes
from gradaudit.instruments.fidelity.options import FidelityOptions
from gradaudit.instruments.leakage.options import LeakageInAudit
from gradaudit.instruments.mask_recovery.options import MaskRecoveryOptions
from gradaudit.instruments.setup import Run, Setup
from gradaudit.instruments.sweep.options import SweepCommand
from gradaudit.instruments.tangents import read_tangents
from gradaudit.training.fitting import Draw
from gradaudit.training.sizing import COPIES, PEAK, bytes_of_training

CPU = torch.device("cpu")
RECIPE = ga.Recipe(network="mlp(width=16)", epochs=1, batch_size=16, precision="fp32")


@pytest.fixture(scope="module", name="mixture")
def mixture_fixture():
    return ga.gaussian_mixture(classes=3, shape=(1, 8, 8), spread=0.08, seed=0)


@pytest.fixture(name="setup")
def setup_fixture(mixture, tmp_path):
    train, test = mixture.sample(60, seed=1), mixture.sample(24, seed=2)
    classifier = ga.train(RECIPE, train, device="cpu")
    run = Run(0, ga.Store(tmp_path), 1, "local", CPU, False)
    return Setup({"mlp": classifier}, {"mlp": RECIPE}, train, test, mixture.denoiser(), None, {}, run)


def memory(setup, name, options):
    return instrument(name).cost(setup, "mlp", options).memory


def with_workers(setup, workers):
    return replace(setup, run=replace(setup.run, workers=workers))


def walk(setup, method, size=4, robust=None):
    (one,) = resolve_methods(method).values()
    return walking_bytes(one, size, setup.test, setup.classifiers["mlp"], setup.denoiser, robust, CPU)


def test_a_walk_without_a_denoiser_takes_its_gradients(setup):
    each = bytes_per_image(setup.classifiers["mlp"], setup.test.floats([0]))
    assert walk(setup, "svce") == GRADIENT * 4 * each
    assert walk(setup, "svce", size=8) == 2 * walk(setup, "svce")


def test_a_guided_walk_holds_the_denoisers_graph_and_the_views(setup):
    each, graph = bytes_per_image(setup.classifiers["mlp"], setup.test.floats([0])), denoiser_bytes(setup.denoiser, setup.test, CPU)
    helped = walk(setup, "dvce", robust=setup.classifiers["mlp"])  # 16 views, of the larger classifier
    assert helped - walk(setup, "dvce(views=8)") == pytest.approx(4 * 8 * GRADIENT * each, abs=4 * graph)
    assert walk(setup, "dvce(guidance=none,views=64)") == walk(setup, "dvce(views=64)") - 4 * graph
    assert walk(setup, "blended") == walk(setup, "dvce(views=1)")
    assert walk(setup, "dvce", size=8) == 2 * walk(setup, "dvce")


def test_a_copy_is_held_after_its_fine_tuning_too(setup):
    options = FidelityOptions(finetuned="evaluators/fine-tune(epochs=1)", levels=(0.2,), patches=0)
    plain, before = (memory(setup, "fidelity", one) for one in (replace(options, finetuned=None), options))
    training = replace(options, finetuned="evaluators/fine-tune(epochs=1,batch_size=4096)")
    assert memory(setup, "fidelity", training) > before
    instrument("fidelity").measure(setup, "mlp", options)
    weights = sum(one.nbytes for one in setup.classifiers["mlp"].parameters())
    assert memory(setup, "fidelity", options) == plain + weights


def test_blocks_are_trained_on_in_the_recipes_batches(setup):
    few, many = (
        memory(replace(setup, recipes={"mlp": RECIPE.with_(batch_size=size)}), "leakage", LeakageInAudit()) for size in (1024, 4096)
    )
    assert 3 < many / few < 4


def test_masks_and_ranks_of_more_images_take_more(setup):
    options = MaskRecoveryOptions(fills="mean", levels=(0.1,), sides=("top",), seeds=1, learner=RECIPE, epochs=1)
    small = memory(setup, "mask_recovery", options)
    twice = replace(setup, train=setup.train[[*range(60)] * 20])
    assert memory(twice, "mask_recovery", options) > small + 19 * 60 * 64 * (1 + 4)
    several = memory(with_workers(setup, 2), "mask_recovery", options)
    assert 2 * WORKER < several < 2 * WORKER + 2 * small


def test_a_sweep_counts_its_workers_and_its_tangent_spaces(setup):
    options = SweepCommand(families={"noise": (0.1, 0.2)}, base=RECIPE, tangents="neighbours(neighbours=8,dimensions=4)")
    one, two = (memory(with_workers(setup, workers), "sweep", options) for workers in (1, 2))
    assert 2 * WORKER < two < 2 * WORKER + 2 * one
    larger = memory(setup, "sweep", replace(options, tangents="neighbours(neighbours=8,dimensions=6)"))
    assert larger == one + 2 * 4 * 64 * len(setup.test)


def test_a_sweeps_tangent_spaces_may_be_the_denoisers(setup):
    spaces = read_tangents("tangents", "denoiser(dimensions=4)")
    assert spaces.dimensions(setup) == 4
    assert spaces.cost(10, setup).memory > 2 * denoiser_bytes(setup.denoiser, setup.test, CPU)


def test_alignment_holds_a_batch(setup):
    options = instrument("alignment").about.command()
    assert memory(replace(setup, test=setup.test[:6]), "alignment", options) < memory(setup, "alignment", options)


@pytest.mark.parametrize(("workers", "expected"), [(1, 10.0), (3, 3 * (10.0 + WORKER))])
def test_workers_bring_their_libraries(workers, expected):
    assert of_workers(10.0, workers) == expected
    assert of_workers(0.0, workers) == 0.0


def drawn(images) -> Draw:
    return lambda indices: (images.floats(indices), images.labels[indices])


def test_a_training_takes_what_its_objective_asks(setup):
    def of(objective, batch_size=16):
        network = RECIPE.build(setup.train.shape, 3)
        return bytes_of_training(network, drawn(setup.train), RECIPE.with_(objective=objective, batch_size=batch_size), CPU)

    weights = COPIES * sum(one.nbytes for one in RECIPE.build(setup.train.shape, 3).parameters())
    assert of("standard", 32) - weights == 2 * (of("standard") - weights)
    assert of("standard") - weights >= PEAK * 16 * 2 * 64 * 4  # the images, in the batch and as the first layer's input
    assert of("gradient_penalty(strength=1.0)") > of("standard")
    steps = [of(f"adversarial(eps=0.1,steps={count})") for count in (2, 8)]
    assert steps[0] == steps[1]


def test_no_batch_is_smaller_than_that_which_is_timed(setup):
    more = seconds_more(setup.classifiers["mlp"], setup.test, CPU, len(setup.test), len(setup.test))
    assert (more.gradient, more.forward) == (0.0, 0.0)
    few = seconds_more(setup.classifiers["mlp"], setup.test, CPU, 1, 1)
    assert few.gradient > 0
    assert few.forward > 0
