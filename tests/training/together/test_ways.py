"""Ways to train a group against fits one by one: the same weights, whoever else is in the group."""

import pytest
import torch
from torch import nn

from gradaudit.devices import one_thread
from gradaudit.errors import TrainingError
from gradaudit.training.recipe import Recipe
from gradaudit.training.together import ONE_BY_ONE, WAYS, Member, fit_together

CPU = torch.device("cpu")
COUNT, CLASSES, SHAPE = 53, 4, (1, 8, 8)
GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.randint(CLASSES, (COUNT,), generator=GENERATOR)
IMAGES = torch.rand(COUNT, *SHAPE, generator=GENERATOR, dtype=torch.float64) / 2
IMAGES[torch.arange(COUNT), 0, LABELS] += 0.5  # a bright row tells the label
RECIPE = Recipe(network="linear", precision="fp32", epochs=2, batch_size=16, learning_rate=0.05)
NETWORKS = ("linear", "mlp(width=16)", "convnet(width=4)", "convnet(batch_norm=true, width=4)", "resnet18(width=4)")


def state(learner):
    """Weights and buffers; running statistics are among them."""
    return {name: value.clone() for name, value in learner.state_dict().items()}


def member(seed, recipe=RECIPE, dtype=torch.float32, *, draw=None, build=None, measure=state):
    build = build or (lambda: recipe.build(SHAPE, CLASSES))
    return Member(seed, lambda: build().to(dtype), draw or (lambda at: (IMAGES[at].to(dtype), LABELS[at])), measure)


def fitted(way, members, recipe=RECIPE, device=CPU, count=COUNT):
    found = {}
    with one_thread():
        for ended in fit_together(way, members, count, recipe, device):
            found |= ended
    return [found[position] for position in range(len(members))]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", NETWORKS)
def test_stacked_weights_and_running_statistics_are_those_of_fits_one_by_one(network, optimizer):
    # In float64 nothing but the order of additions differs: what is left of it after the training is far below any mistake.
    recipe = RECIPE.with_(network=network, optimizer=optimizer)
    members = [member(seed, recipe, torch.float64) for seed in (3, 0, 7)]
    assert WAYS.function("way", "stacked").why_not(members[0], recipe, CPU) is None
    for one, stacked in zip(fitted(ONE_BY_ONE, members, recipe), fitted("stacked", members, recipe), strict=True):
        torch.testing.assert_close(stacked, one, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("network", "tolerance"), [("mlp(width=16)", 1e-6), ("convnet(batch_norm=true, width=4)", 1e-4)])
def test_stacked_weights_in_single_precision_differ_in_the_last_digits(network, tolerance):
    recipe = RECIPE.with_(network=network)
    members = [member(seed, recipe) for seed in range(3)]
    for one, stacked in zip(fitted(ONE_BY_ONE, members, recipe), fitted("stacked", members, recipe), strict=True):
        torch.testing.assert_close(stacked, one, rtol=0, atol=tolerance)


def test_stacked_learners_in_bf16_know_as_much():
    recipe = RECIPE.with_(network="mlp(width=16)", precision="bf16", epochs=16, learning_rate=0.2)

    def knowledge(learner):
        logits = learner(IMAGES.float())
        return (logits.argmax(1) == LABELS).float().mean().item(), nn.functional.cross_entropy(logits, LABELS).item()

    members = [member(seed, recipe, measure=knowledge) for seed in range(3)]
    one, stacked = torch.tensor(fitted(ONE_BY_ONE, members, recipe)), torch.tensor(fitted("stacked", members, recipe))
    assert one[:, 0].min() > 0.9
    torch.testing.assert_close(stacked[:, 0], one[:, 0], rtol=0, atol=2.5 / COUNT)  # two images
    torch.testing.assert_close(stacked[:, 1], one[:, 1], rtol=0, atol=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", ["mlp(width=16)", "convnet(batch_norm=true, width=4)"])
def test_a_stacked_fit_is_bit_for_bit_the_same_whoever_is_in_its_group(network, precision):
    recipe = RECIPE.with_(network=network, precision=precision)
    alone, beside, among = ([member(seed, recipe) for seed in seeds] for seeds in ((5,), (9, 5), (1, 2, 5, 3, 4)))
    found = fitted("stacked", alone, recipe)[0], fitted("stacked", beside, recipe)[1], fitted("stacked", among, recipe)[2]
    assert equal(found[0], found[1])
    assert equal(found[0], found[2])
    assert not equal(found[0], fitted("stacked", beside, recipe)[0])


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("way", ["one_by_one", "stacked"])
def test_every_step_of_every_fit_is_counted(way, size):
    steps = []
    with one_thread():
        for _ in fit_together(way, [member(seed) for seed in range(size)], COUNT, RECIPE, CPU, steps.append):
            pass
    assert sum(steps) == size * RECIPE.epochs * 4  # 53 images in batches of 16


@pytest.mark.parametrize("way", ["one_by_one", "stacked"])
def test_what_a_member_draws_is_its_own(way):
    """A fill that draws noise: the group does not move a member's random state, nor the caller's, and it goes on afterwards."""

    def noisy(at):
        return IMAGES[at].float() + 0.1 * torch.randn(len(at), *SHAPE), LABELS[at]

    def weights_and_next_draw(learner):
        return state(learner) | {"next": torch.randn(3)}

    members = [member(seed, draw=noisy, measure=weights_and_next_draw) for seed in (4, 6)]
    before = torch.get_rng_state()
    found = fitted(way, members)
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(found, fitted(ONE_BY_ONE, members[::-1])[::-1], strict=True):
        assert torch.equal(one["next"], other["next"])
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_a_member_that_diverges_takes_no_other_with_it():
    def poisoned(at):
        return IMAGES[at].float() * float("inf"), LABELS[at]

    members = [member(0), member(1, draw=poisoned), member(2)]
    running = fit_together("stacked", members, COUNT, RECIPE, CPU)
    with one_thread():
        found = next(running)
        assert sorted(found) == [0, 2]
        with pytest.raises(TrainingError, match="loss of epoch 1 is nan"):
            next(running)
    healthy = fitted("stacked", [members[0], members[2]])
    assert equal(found[0], healthy[0])
    assert equal(found[2], healthy[1])


def test_tied_and_frozen_weights_and_unsaved_buffers_stay_so():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, CLASSES)
            self.two.weight = self.one.weight
            self.head.bias.requires_grad_(False)
            self.register_buffer("seen", torch.zeros(()), persistent=False)

        def forward(self, images):
            self.seen.add_(images.mean().detach())
            return self.head(self.two(self.one(images.flatten(1)).relu()))

    def all_of(learner):
        assert learner.two.weight is learner.one.weight
        return state(learner) | {"seen": learner.seen.clone()}

    members = [member(seed, dtype=torch.float64, build=Own, measure=all_of) for seed in (0, 1)]
    assert WAYS.function("way", "stacked").why_not(members[0], RECIPE, CPU) is None
    for one, stacked in zip(fitted(ONE_BY_ONE, members), fitted("stacked", members), strict=True):
        torch.testing.assert_close(stacked, one, rtol=1e-9, atol=1e-12)


class Remembers(nn.Module):
    """Keeps a number in Python, which no stack can hold."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, CLASSES)

    def forward(self, images):
        self.brightness = images.mean().item()
        return self.layer(images.flatten(1))


def with_dropout():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, CLASSES))


@pytest.mark.parametrize(
    ("recipe", "build", "words"),
    [
        ({"objective": "noise(std=0.1)"}, None, "objective noise"),
        ({"augment": "flip"}, None, "augmentation"),
        ({"ema": 0.9}, None, "average of the weights"),
        ({"optimizer": "muon", "network": "mlp(width=16)"}, None, "optimizer muon"),
        ({}, with_dropout, "draws at random"),
        ({}, Remembers, "vmap can't take the learner"),
    ],
)
def test_what_can_not_be_stacked_says_why_before_any_work(recipe, build, words):
    recipe = RECIPE.with_(**recipe)
    assert words in WAYS.function("way", "stacked").why_not(member(0, recipe, build=build), recipe, CPU)


@pytest.mark.parametrize("way", ["graphed", "streams"])
def test_a_cpu_has_neither_graphs_nor_streams(way):
    assert "only CUDA" in WAYS.function("way", way).why_not(member(0), RECIPE, CPU)


def test_the_step_is_compiled_once_for_all_fits_that_are_alike(monkeypatch):
    """Inductor takes minutes on a busy machine; what is traced, and when it is traced again, is the same without it."""
    import functools

    from torch._dynamo.utils import counters

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    recipe = RECIPE.with_(network="mlp(width=16)", epochs=1)
    torch._dynamo.reset()
    first = fitted("stacked(compile=true)", [member(seed, recipe) for seed in (0, 1)], recipe, count=48)
    compiled = counters["stats"]["unique_graphs"]
    assert compiled > 0
    second = fitted("stacked(compile=true)", [member(seed, recipe) for seed in (2, 0)], recipe, count=48)
    assert counters["stats"]["unique_graphs"] == compiled
    torch.testing.assert_close(second[1], first[0])
    torch.testing.assert_close(first, fitted("stacked", [member(seed, recipe) for seed in (0, 1)], recipe, count=48))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and this machine has none")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", ["mlp(width=16)", "convnet(batch_norm=true, width=4)"])
@pytest.mark.parametrize("way", ["stacked", "graphed", "streams"])
def test_every_way_on_an_accelerator_gives_the_weights_of_fits_one_by_one(way, network, optimizer):
    cuda = torch.device("cuda")
    images, labels = IMAGES.to(cuda), LABELS.to(cuda)
    recipe = RECIPE.with_(network=network, optimizer=optimizer)

    def draw(at):
        return images[at.to(cuda)], labels[at.to(cuda)]

    members = [member(seed, recipe, torch.float64, draw=draw) for seed in (3, 0, 7)]
    assert WAYS.function("way", way).why_not(members[0], recipe, cuda) is None
    for one, other in zip(fitted(ONE_BY_ONE, members, recipe, cuda), fitted(way, members, recipe, cuda), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-10)
