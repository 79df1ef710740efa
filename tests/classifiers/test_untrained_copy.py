"""A classifier with weights drawn anew: what is drawn, what stays, and what can't be drawn."""

import copy

import pytest
import torch
from scipy.stats import kstest
from torch import nn

from gradaudit.classifiers import NETWORKS, normalised, untrained_copy
from gradaudit.errors import InputError


def network(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)]
    return normalised(nn.Sequential(*layers), ((0.2,), (0.5,)))


def test_weights_are_those_of_the_layers_own_initialisation():
    fresh = untrained_copy(nn.Sequential(nn.Flatten(), nn.Linear(400, 100)), 0)
    assert kstest(fresh[1].weight.detach().flatten(), "uniform", (-0.05, 0.1)).pvalue > 0.01  # within 1 / sqrt(400)


def test_it_knows_the_architecture_and_the_seed_alone():
    one, other = untrained_copy(network(0), 5), untrained_copy(network(1), 5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    different = untrained_copy(network(0), 6)
    assert not torch.equal(one.network[0].weight, different.network[0].weight)


def test_a_training_from_the_same_seed_has_not_started_from_it():
    for seed in range(3):
        torch.manual_seed(seed)
        start = nn.Linear(400, 100)
        fresh = untrained_copy(start, seed)
        correlation = torch.corrcoef(torch.stack([start.weight.detach().flatten(), fresh.weight.detach().flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.02  # four standard errors of 40,000


def test_running_statistics_are_new_and_a_normalisation_stays():
    trained = network()
    with torch.no_grad():
        trained.train()(torch.rand(20, 1, 8, 8))
    fresh = untrained_copy(trained, 0)
    assert torch.equal(fresh.network[1].running_mean, torch.zeros(4))
    assert torch.equal(fresh.network[1].running_var, torch.ones(4))
    assert (fresh.normalise.mean.item(), fresh.normalise.std.item()) == pytest.approx((0.2, 0.5))


def test_the_classifier_and_the_random_state_are_as_before():
    trained = network().double()
    trained.network[0].weight.requires_grad_(False)
    before = copy.deepcopy(trained.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fresh = untrained_copy(trained, 0)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[key], value) for key, value in trained.state_dict().items())
    assert [weight.requires_grad for weight in fresh.parameters()] == [weight.requires_grad for weight in trained.parameters()]
    assert {weight.dtype for weight in fresh.parameters()} == {torch.float64}
    single = untrained_copy(network(), 0)
    assert torch.equal(fresh.network[4].weight, single.network[4].weight.double())


def test_a_layer_that_initialises_those_within_it_has_the_last_word():
    class Zeros(nn.Sequential):
        def reset_parameters(self):
            nn.init.zeros_(self[0].bias)

    fresh = untrained_copy(nn.Sequential(nn.Flatten(), Zeros(nn.Linear(9, 3))), 0)
    assert not fresh[1][0].bias.any()
    assert fresh[1][0].weight.any()


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_network_here_can_be_untrained(name):
    built = NETWORKS.bind("network", name)((1, 28, 28), 10).eval()
    images = torch.rand(2, 1, 28, 28)
    logits = untrained_copy(built, 0)(images)
    assert logits.isfinite().all()
    assert not torch.allclose(logits, built(images))


def test_attention_is_drawn_anew():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    fresh = untrained_copy(layer, 0)
    assert not torch.equal(fresh.self_attn.in_proj_weight, layer.self_attn.in_proj_weight)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.size = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images * self.size


class Forgetful(nn.Linear):
    def reset_parameters(self):
        nn.init.zeros_(self.weight)


class Broken(nn.Linear):
    made = False

    def reset_parameters(self):
        if self.made:
            raise RuntimeError("once is enough")
        self.made = True


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Scale(), r"not so layer '1', Scale: `size` would stay, as it has none"),
        (Forgetful(9, 3), r"not so layer '1', Forgetful: `bias` is not among what it draws"),
        (Broken(9, 3), r"not so layer '1', Broken: it raised RuntimeError: once is enough"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(9, 3)), r"not so layer '1"),
    ],
)
def test_a_layer_that_cannot_be_is_named(layer, said):
    with pytest.raises(InputError, match=said):
        untrained_copy(nn.Sequential(nn.Flatten(), layer), 0)


def test_a_module_with_weights_of_its_own_is_named():
    with pytest.raises(InputError, match="not so the module itself: `size`"):
        untrained_copy(Scale(), 0)


@pytest.mark.parametrize(
    ("module", "seed", "argument"), [(nn.Flatten(), 0, "classifier"), (network(), -1, "seed"), (network(), 0.5, "seed")]
)
def test_bad_input_is_named(module, seed, argument):
    with pytest.raises(InputError, match=f"`{argument}`"):
        untrained_copy(module, seed)


class Loose(nn.Module):
    """Parameters beside the layers, under the names that libraries give them."""

    def __init__(self, names):
        super().__init__()
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.full((1, 40, 100), 3.0)))


class GlobalResponseNorm(Loose):
    pass


@pytest.mark.parametrize(
    "name", ["class_token", "pos_embed", "pos_embedding", "position_embeddings", "relative_position_bias_table"]
)
def test_tokens_and_positions_come_from_a_narrow_normal_distribution(name):
    drawn = getattr(untrained_copy(Loose([name]), 0), name).detach().flatten()
    assert kstest(drawn, "norm", (0, 0.02)).pvalue > 0.01
    assert not torch.equal(drawn, getattr(untrained_copy(Loose([name]), 1), name).flatten())


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (Loose, "layer_scale", 1e-6),
        (Loose, "layer_scale_parameter", 1e-6),
        (Loose, "gamma", 1e-6),
        (Loose, "gamma_2", 1e-6),
        (Loose, "lambda_1", 1e-6),
        (Loose, "logit_scale", 2.302585),
        (GlobalResponseNorm, "weight", 0.0),
    ],
)
def test_scales_of_branches_are_as_their_papers_begin(make, name, value):
    drawn = getattr(untrained_copy(make([name]), 0), name)
    torch.testing.assert_close(drawn, torch.full_like(drawn, value))


def test_a_parameter_of_an_unknown_name_is_still_named():
    with pytest.raises(InputError, match="`something` would stay"):
        untrained_copy(Loose(["something"]), 0)
