"""Sensitivity to noise on the signal and on the rest: closed forms, a naive loop, invariances."""

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.instruments.leakage import SensitivityResult, sensitivity
from gradaudit.noise import generators, normal
from gradaudit.packing import unpack

CPU = {"device": "cpu"}


def changes(result):
    return unpack(result.details["changes"])


def test_changes_are_those_of_a_naive_loop(blocks):
    images, network, stds = blocks.images(5, channels=3), blocks.network(channels=3), (0.2, 1.5)
    result = sensitivity(network, images, std=stds, samples=3, seed=4, **CPU)
    network = network.eval()
    for place in range(5):
        image, inside = images.floats([place]), images.signal_mask[place].float()
        with torch.no_grad():
            clean = network(image).double().softmax(1)
            sources = generators(image, 4)
            total = np.zeros((2, 2))
            for _ in range(3):
                noise = normal(sources, image)
                for part, weight in enumerate((inside, 1 - inside)):
                    for level, std in enumerate(stds):
                        total[part, level] += float((network(image + std * weight * noise).double().softmax(1) - clean).abs().sum())
        np.testing.assert_allclose(changes(result)[..., place], total / 3, atol=1e-6)


def test_noise_where_the_classifier_does_not_look_changes_nothing(blocks):
    images = blocks.images(position="top")
    for part, label in (("top", "focused"), ("bottom", "distracted")):
        result = sensitivity(blocks.looking_at(part), images, std=(0.1, 1.0), samples=2, **CPU)
        silent = result.table[result.table["part"] == ("null" if part == "top" else "signal")]
        assert (silent["change"] == 0).all()
        assert result.verdict.label == label
        assert result.ratio()["ratio"].tolist() == ([np.inf] * 2 if part == "top" else [0] * 2)
        assert result.plot().axes


def test_for_little_noise_the_ratio_is_that_of_the_weights(blocks):
    """Two classes, so that the change is 2 p (1 - p) std |w| |z|, whose mean is proportional to the norm of the block's weights."""
    classifier = blocks.looking_at("both", classes=2)
    weight = classifier[1].weight.data.view(2, 12, 6)
    weight[:, :6] *= 3
    difference = weight[0] - weight[1]
    images = blocks.images(400, position="top", classes=2)
    result = sensitivity(classifier, images, std=1e-3, samples=10, **CPU)
    expected = float(difference[:6].norm() / difference[6:].norm())
    (found,) = result.ratio().to_dict("records")
    assert found["ratio"] == pytest.approx(expected, rel=0.06)
    assert found["low"] < expected < found["high"]
    assert result.verdict.label == "focused"


def test_parts_that_weigh_the_same_are_inconclusive(blocks):
    classifier = blocks.looking_at("both", classes=2)
    weight = classifier[1].weight.data.view(2, 12, 6)
    weight[:, 6:] = weight[:, :6]
    result = sensitivity(classifier, blocks.images(200, classes=2), std=(0.1,), samples=4, **CPU)
    assert result.verdict.label == "inconclusive"
    assert result.verdict.caveats == ()


def test_without_noise_nothing_changes_and_there_is_no_ratio(blocks):
    result = sensitivity(blocks.network(), blocks.images(8), std=(0.5, 0.0), samples=1, **CPU)
    assert result.settings["std"] == [0.0, 0.5]
    assert (result.table.loc[result.table["std"] == 0, "change"] == 0).all()
    assert result.ratio()["ratio"].isna().tolist() == [True, False]
    assert "larger standard deviations say more" in " ".join(result.verdict.caveats)
    assert result.plot().axes


def test_neither_the_batch_size_nor_the_order_matters(blocks):
    images, network = blocks.images(20), blocks.network()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    options = {"std": (0.1, 1.0), "samples": 2, **CPU}
    one = changes(sensitivity(network, images, batch_size=20, **options))
    np.testing.assert_allclose(changes(sensitivity(network, images, batch_size=3, **options)), one, atol=1e-6)
    np.testing.assert_allclose(changes(sensitivity(network, images[order], **options)), one[..., order.numpy()], atol=1e-6)
    assert not np.allclose(changes(sensitivity(network, images, seed=1, **options)), one, atol=1e-3)


def test_swapping_the_mask_swaps_the_parts(blocks):
    images, network = blocks.images(20), blocks.network()
    one = changes(sensitivity(network, images, std=0.3, samples=2, **CPU))
    other = changes(sensitivity(network, images, std=0.3, samples=2, signal_mask=~images.signal_mask, **CPU))
    np.testing.assert_array_equal(one, other[::-1])


def test_a_saved_result_comes_back_whole(blocks, tmp_path):
    images = blocks.images(10)
    mask = images.signal_mask & (torch.arange(6) < 4)
    result = sensitivity(blocks.network(), images, std=(0.1, 1.0), samples=1, signal_mask=mask, **CPU)
    assert "the signal covers 33.3% of the pixels" in " ".join(result.verdict.caveats)
    loaded = ga.load_result(result.save(tmp_path))
    assert isinstance(loaded, SensitivityResult)
    assert loaded.table.equals(result.table)
    assert loaded.ratio().equals(result.ratio())


def test_logits_that_noise_makes_infinite_are_refused(blocks):
    class Logarithm(torch.nn.Sequential):
        def forward(self, images):
            return super().forward((images + 0.01).log())

    images = blocks.images(4)
    classifier = Logarithm(*blocks.looking_at("both"))
    assert classifier(images.floats()).isfinite().all()
    with pytest.raises(ga.InputError, match=r"^`classifier` \(='Logarithm'\) must be one with finite logits at noisy images"):
        sensitivity(classifier, images, std=1.0, **CPU)


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("std", {"std": ()}),
        ("std", {"std": (0.1, 0.1)}),
        ("std", {"std": (-0.1,)}),
        ("std", {"std": float("nan")}),
        ("std", {"std": "much"}),
        ("samples", {"samples": 0}),
        ("samples", {"samples": 1.5}),
        ("seed", {"seed": -1}),
        ("batch_size", {"batch_size": "all"}),
        ("signal_mask", {"signal_mask": torch.zeros(4, 12, 6, dtype=torch.bool)}),
        ("device", {"device": "nowhere"}),
    ],
)
def test_bad_arguments_are_named(blocks, argument, options):
    with pytest.raises(ga.InputError, match=f"^`{argument}`"):
        sensitivity(blocks.network(), blocks.images(4), **({"device": "cpu"} | options))
