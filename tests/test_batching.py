"""Batch sizes that fit, halving, and a classifier left as it was."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradaudit.batching import (
    batch_size_for,
    bytes_per_image,
    evaluating,
    frozen,
    halving,
    most_saved_bytes,
    placed,
    saved_bytes,
)


def network(width=8):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(width * 64, 4))


IMAGES = torch.rand(2, 1, 8, 8)


def test_saved_bytes_of_a_network_counted_by_hand():
    # The convolution's input, the ReLU's output (the linear layer saves only its weight), and twice the image.
    by_hand = 4 * (64 + 8 * 64)
    assert bytes_per_image(network(), IMAGES) == pytest.approx(by_hand + 4 * 64, abs=4 * 64)


def test_saved_bytes_do_not_depend_on_how_many_images_are_measured():
    assert bytes_per_image(network(), IMAGES) == bytes_per_image(network(), IMAGES[:1])


def test_a_batch_is_a_power_of_two_within_budget_and_cap():
    model = network()
    need = bytes_per_image(model, IMAGES)
    sizes = [batch_size_for(model, IMAGES, device="cpu", budget=int(2 * need * n)) for n in (0.5, 1.01, 7.5, 16.5, 1e6)]
    assert sizes == [1, 1, 4, 16, 256]


def test_a_larger_factor_makes_smaller_batches():
    sizes = [batch_size_for(network(), IMAGES, device="cpu", budget=10**6, factor=factor) for factor in (2, 8)]
    assert sizes[0] == 4 * sizes[1]


def test_measuring_leaves_the_classifier_as_it_was():
    model = network().train()
    model[0].bias.requires_grad_(False)
    bytes_per_image(model, IMAGES)
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("context", [evaluating, frozen])
def test_flags_come_back_after_an_error(context):
    model = network().train()
    model[1].eval()

    def fail():
        with context(model):
            assert not model.training
            raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    assert all(p.requires_grad for p in model.parameters())


def test_placed_images_take_the_classifiers_dtype_and_are_copies():
    assert placed(network().double(), IMAGES).dtype == torch.float64
    assert placed(nn.Flatten(), IMAGES).dtype == torch.float32
    copied = placed(network(), IMAGES)
    assert torch.equal(copied, IMAGES)
    assert copied.data_ptr() != IMAGES.data_ptr()


@given(total=st.integers(0, 60), size=st.integers(1, 20), capacity=st.integers(1, 20))
def test_halving_does_every_image_once_in_order_and_never_grows(total, size, capacity):
    tried = []

    def work(chunk):
        tried.append(chunk.stop - chunk.start)
        if tried[-1] > capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(chunk.start, chunk.stop))

    done = list(halving(work, total, size))
    assert [image for _, part in done for image in part] == list(range(total))
    assert all(list(range(total))[chunk] == part for chunk, part in done)
    limits = [count for count in tried if count > capacity]
    assert limits == sorted(limits, reverse=True)
    assert len(limits) <= 5  # 20, 10, 5, 2, then 1 always fits


def test_one_image_that_does_not_fit_is_torchs_error():
    def work(chunk):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(halving(work, 4, 4))


def test_other_errors_are_not_retried():
    tried = []

    def work(chunk):
        tried.append(chunk)
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(halving(work, 4, 4))
    assert len(tried) == 1


def test_work_may_return_nothing():
    assert list(halving(lambda chunk: None, 3, 2)) == [(slice(0, 2), None), (slice(2, 3), None)]


def test_the_cpu_allocators_error_is_out_of_memory():
    def work(chunk):
        if chunk.stop - chunk.start > 1:
            torch.empty(2**60, dtype=torch.uint8)
        return chunk.start

    assert [start for _, start in halving(work, 3, 2)] == [0, 1, 2]


def test_what_is_let_go_is_not_saved_at_the_same_time():
    def forward():
        images = IMAGES.clone().requires_grad_()
        return model(images), images

    def steps():
        for _ in range(3):
            logits, images = forward()
            torch.autograd.grad(logits.sum(), images)

    model = network()
    alone = most_saved_bytes(model, forward)
    assert alone == saved_bytes(model, forward)
    assert most_saved_bytes(model, steps) == alone
    assert most_saved_bytes(model, lambda: [forward() for _ in range(3)]) == 3 * alone
