"""What every registered attribution must do; a new one is tried by all of this as soon as its file exists."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradaudit.attributions import ATTRIBUTIONS, resolve_attribution

SHAPE = (3, 8, 6)
COUNT = 5


class Coder(nn.Module):
    """An autoencoder of such images: the first halves of their rows."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(72, 144), nn.Tanh(), nn.Unflatten(1, SHAPE))

    def encode(self, images):
        return images[..., :3].flatten(1)


torch.manual_seed(2)
# Options that an attribution has no defaults for, or that would make these tests slow.
SPECS = {
    "captum": "captum(method=DeepLift)",
    "smoothgrad": "smoothgrad(samples=4)",
    "manifold_integrated_gradients": {"name": "manifold_integrated_gradients", "autoencoder": Coder(), "steps": 4, "sweeps": 2},
}


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(96, 4))
    return layers.to(dtype).train()


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(COUNT, *SHAPE, generator=generator), torch.tensor([0, 1, 2, 3, 1])


@pytest.fixture(params=ATTRIBUTIONS.names(), scope="module")
def function(request):
    if request.param == "gradcam":
        pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam is not installed: pip install 'gradaudit[gradcam]'")
    return resolve_attribution(SPECS.get(request.param, request.param)).function


class TestAttribution:
    def test_scores_are_finite_floats_of_the_images_shape(self, function):
        scores = function(network(), *batch())
        assert (scores.shape, scores.dtype) == ((COUNT, *SHAPE), torch.float32)
        assert torch.isfinite(scores).all()
        assert scores.abs().max() > 0
        assert not scores.requires_grad

    @settings(max_examples=8, deadline=None)
    @given(order=st.permutations(range(COUNT)))
    def test_permuting_images_permutes_scores(self, function, order):
        model, (images, targets) = network(), batch()
        scores = function(model, images, targets)
        torch.testing.assert_close(function(model, images[order], targets[order]), scores[order], atol=1e-6, rtol=1e-4)

    @settings(max_examples=6, deadline=None)
    @given(cut=st.integers(1, COUNT - 1))
    def test_splitting_a_batch_splits_the_scores(self, function, cut):
        model, (images, targets) = network(), batch()
        whole = function(model, images, targets)
        parts = [function(model, images[part], targets[part]) for part in (slice(0, cut), slice(cut, COUNT))]
        torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=1e-4)

    def test_the_same_call_gives_the_same_scores_and_leaves_the_random_state(self, function):
        model, (images, targets) = network(), batch()
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        first = function(model, images, targets)
        after = torch.rand(1), np.random.rand()  # noqa: NPY002
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        assert after == (torch.rand(1), np.random.rand())  # noqa: NPY002
        assert torch.equal(function(model, images, targets), first)

    def test_classifier_and_images_are_left_as_they_were(self, function):
        model, (images, targets) = network(), batch()
        model[0].weight.requires_grad_(False)
        model[1].eval()
        model[4].weight.grad = torch.ones_like(model[4].weight)
        state, sample = copy.deepcopy(model.state_dict()), images.clone()
        function(model, images, targets)
        assert [module.training for module in model.modules()] == [True, True, False, True, True, True]
        assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]
        assert [p.grad is None for p in model.parameters()] == [True, True, True, True, False, True]
        assert torch.equal(model[4].weight.grad, torch.ones_like(model[4].weight))
        assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
        assert not any(module._forward_hooks or module._backward_hooks or module._forward_pre_hooks for module in model.modules())
        assert model[2].inplace
        assert torch.equal(images, sample)
        assert images.grad is None
        assert not images.requires_grad

    def test_a_double_precision_classifier_will_do(self, function):
        images, targets = batch()
        scores = function(network(torch.float64), images, targets)
        torch.testing.assert_close(scores, function(network(), images, targets), atol=1e-5, rtol=1e-3)

    @pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
    def test_the_callers_grad_mode_does_not_matter(self, function, guard):
        model, (images, targets) = network(), batch()
        expected = function(model, images, targets)
        with guard():
            assert torch.equal(function(model, images.clone(), targets.clone()), expected)
