"""Changes on and off the manifold against their exact values, and what must hold of any classifier."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gradaudit as ga
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.errors import InputError
from gradaudit.instruments.manifold_robustness.measure import directions, explained
from gradaudit.instruments.manifold_robustness.statistics import change_interval, ratio_intervals
from gradaudit.intervals import RESAMPLES, resamples

RADII = (0.3, 1.0, 3.0)


def convolution():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3))


# Exact values


@pytest.mark.parametrize("dimensions", [2, 4, 12])
def test_a_linear_classifier_changes_as_much_as_it_must(linear, measured, dimensions):
    images, spaces, module = linear.images(), linear.bases(dimensions=dimensions), linear.classifier()
    result = measured(module, images, spaces, radius=RADII, samples=150)
    table = result.table.set_index(["direction", "radius"])
    for radius in RADII:
        exact = linear.expected(module, images, spaces, radius)
        for direction, values, found in zip(("on", "off"), exact, result.per_image()[:, RADII.index(radius)], strict=True):
            row = table.loc[(direction, radius)]
            assert row["low"] < values.mean() < row["high"]
            assert row["change"] == pytest.approx(values.mean(), rel=0.03)
            assert found == pytest.approx(values, rel=0.4)  # image by image, not on average alone
        low, high = result.ratio(radius)[1:]
        assert low < exact[0].mean() / exact[1].mean() < high


def test_random_subspaces_are_like_any_other(linear, measured):
    # A random direction of a random subspace is a random direction. Intervals hold 1 in 95 of 100 cases: in 5 of 6, at the least.
    results = [measured(linear.classifier(), linear.images(200), linear.bases(200, 8, seed), radius=0.5) for seed in range(6)]
    ratios = np.array([result.ratio() for result in results])
    assert np.exp(np.log(ratios[:, 0]).mean()) == pytest.approx(1, abs=0.05)
    assert ((ratios[:, 1] < 1) & (ratios[:, 2] > 1)).sum() >= 5
    assert [result.verdict.label == "inconclusive" for result in results] == [low < 1 < high for _, low, high in ratios]
    assert results[0].details["explained"] == pytest.approx(8 / 30, abs=0.03)
    assert any("tangent spaces explain" in caveat for caveat in results[0].verdict.caveats)


@pytest.mark.parametrize(("inside", "label"), [(True, "off-manifold robust"), (False, "not off-manifold robust")])
def test_what_a_classifier_sees_decides_its_verdict(linear, measured, inside, label):
    space = linear.bases(1, dimensions=3)[0]
    noise = torch.randn(30, generator=torch.Generator().manual_seed(5))
    along = space.T @ (space @ noise)
    module = linear.classifier(along if inside else noise - along)
    result = measured(module, linear.images(), space.expand(60, -1, -1), radius=RADII)
    assert result.verdict.label == label
    quiet = result.table[result.table["direction"] == ("off" if inside else "on")]
    assert quiet["change"].max() < 1e-4
    assert result.ratio().value > 1e3 if inside else result.ratio().value < 1e-3


def test_a_bayes_classifier_hardly_changes_off_the_manifold(measured):
    # Means within one subspace that all components share: no direction off it says anything of the class.
    mixture = gaussian_mixture(classes=2, intrinsic_dim=3, spread=0.1, normal_std=0.02, seed=0)
    basis = mixture.bases[:1].expand(2, -1, -1).clone()
    means = 0.5 + (mixture.means - 0.5) @ basis[0].T @ basis[0]
    shared = type(mixture)(means, basis, mixture.shape, 2, mixture.spread, mixture.normal_std)
    images = shared.sample(60)
    result = measured(shared.bayes_classifier(), images, shared.tangent_spaces(images.floats()), radius=(0.1, 0.3))
    assert result.ratio().low > 1e3
    assert result.verdict.label == "off-manifold robust"


# What must hold


def test_the_complement_swaps_on_and_off(linear, measured):
    whole = torch.linalg.qr(torch.randn(60, 30, 30, generator=torch.Generator().manual_seed(0))).Q.mT
    one, other = (measured(convolution(), linear.images(), part, radius=RADII) for part in (whole[:, :11], whole[:, 11:]))
    assert one.per_image() == pytest.approx(other.per_image()[::-1], abs=1e-4)
    assert one.ratio(1.0).value == pytest.approx(1 / other.ratio(1.0).value, rel=1e-3)


def test_neither_batch_nor_order_matters(linear, measured):
    images, spaces = linear.images(), linear.bases()
    results = [measured(convolution(), images, spaces, batch_size=size, samples=2) for size in ("auto", 1, 7)]
    for result in results[1:]:
        assert result.per_image() == pytest.approx(results[0].per_image(), abs=1e-6)
        assert result.details["explained"] == pytest.approx(results[0].details["explained"], abs=1e-6)
        assert result.settings == results[0].settings
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    shuffled = measured(convolution(), images[order], spaces[order], samples=2)
    assert shuffled.per_image() == pytest.approx(results[0].per_image()[:, :, order], abs=1e-6)
    assert measured(convolution(), images, spaces, seed=1, samples=2).per_image() != pytest.approx(results[0].per_image(), abs=1e-3)


def test_any_basis_of_a_space_and_a_function_that_gives_it_do(linear, measured):
    images, spaces = linear.images(), linear.bases()
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3))).Q
    by_image = {image.numpy().tobytes(): space for image, space in zip(images.floats(), spaces, strict=True)}
    expected = measured(convolution(), images, spaces).per_image()
    asked = measured(convolution(), images, lambda some: torch.stack([by_image[one.numpy().tobytes()] for one in some]))
    assert asked.per_image() == pytest.approx(expected, abs=1e-6)
    assert measured(convolution(), images, turn @ spaces).per_image() == pytest.approx(expected, abs=1e-5)


def test_noise_of_one_length_on_and_off(linear):
    spaces = torch.linalg.qr(linear.bases(9).double().mT).Q.mT
    units = directions(torch.randn(9, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64), spaces)
    assert torch.allclose(units.norm(dim=2), torch.ones(9, 2, dtype=torch.float64))
    within = torch.einsum("ntf,nif->nit", spaces, units).norm(dim=2)
    assert torch.allclose(within, torch.tensor([1.0, 0.0], dtype=torch.float64).expand(9, 2), atol=1e-12)


def test_the_classifier_is_left_as_it_was(linear, measured):
    module = convolution().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    measured(module, linear.images(4), linear.bases(4))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in module.parameters())


def test_the_papers_radii_to_scale(linear, measured):
    assert measured(linear.classifier(), linear.images(), linear.bases()).settings["radius"] == pytest.approx(
        [length / 2 * (30 / 3072) ** 0.5 for length in (1.44, 2.64, 4.83, 8.86)], rel=5e-3
    )


def test_what_tangent_spaces_explain():
    others = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [9.0, 9.0, 9.0]])
    spaces = torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 1, 3)
    found = explained(others.reshape(3, 1, 1, 3), spaces, others)
    assert found[:2].tolist() == pytest.approx([9 / 25, 9 / 25])
    assert explained(others[:1].reshape(1, 1, 1, 3), spaces[:1], others[:1].repeat(2, 1)).isnan().all()


# Intervals


def naive_ratio(on, off, seed):
    """Resample images one by one."""
    rng = np.random.default_rng(seed)
    count = on.shape[1]
    drawn = []
    for _ in range(1500):
        which = rng.integers(0, count, count)
        ratios = on[:, which].mean(axis=1) / off[:, which].mean(axis=1)
        drawn.append([*ratios, np.exp(np.log(ratios).mean())])
    return np.percentile(drawn, [2.5, 97.5], axis=0).T


def test_the_bootstrap_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    off = rng.gamma(2, 0.1, (3, 80))
    on = off * rng.gamma(5, 0.4, (3, 80))
    found = np.array(ratio_intervals(on, off))
    value = on.mean(axis=1) / off.mean(axis=1)
    assert found[:, 0] == pytest.approx([*value, np.prod(value) ** (1 / 3)])
    assert found[:, 1:] == pytest.approx(naive_ratio(on, off, 1), rel=0.03)


def test_the_bootstraps_ends_leave_a_fortieth_of_the_very_draws_on_either_side():
    rng = np.random.default_rng(1)
    on, off = rng.gamma(2, 0.1, (2, 2, 30))
    counts = np.concatenate([*resamples(30, 7)], axis=1)
    for row, (_, low, high) in enumerate(ratio_intervals(on, off, 7)[:2]):
        drawn = sorted(float((on[row] * count).sum() / (off[row] * count).sum()) for count in counts.T)
        assert len(drawn) == RESAMPLES == 2000
        # The 50th and the 1950th, or their neighbours: in binary, 1 - 0.95 is no twentieth.
        assert drawn[48] * (1 - 1e-9) <= low <= drawn[50] * (1 + 1e-9)
        assert drawn[1948] * (1 - 1e-9) <= high <= drawn[1950] * (1 + 1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 40), st.integers(0, 100))
def test_swapping_directions_inverts_ratios(count, seed):
    on, off = np.random.default_rng(seed).gamma(2, 0.1, (2, 3, count))
    one, other = np.array(ratio_intervals(on, off)), np.array(ratio_intervals(off, on))
    assert one[:, 0] == pytest.approx(1 / other[:, 0])
    assert one[:, 1] == pytest.approx(1 / other[:, 2], rel=0.05)
    assert (one[:, 1] <= one[:, 0] * (1 + 1e-9)).all()
    assert (one[:, 0] <= one[:, 2] * (1 + 1e-9)).all()


def test_no_change_off_or_anywhere():
    some, none = np.full((1, 5), 0.1), np.zeros((1, 5))
    assert ratio_intervals(some, none)[0] == (np.inf, np.inf, np.inf)
    assert ratio_intervals(none, some)[0] == (0, 0, 0)
    assert np.isnan(ratio_intervals(none, none)[0]).all()


def test_the_mean_has_a_t_interval():
    values = np.array([0.1, 0.2, 0.4])
    half = 4.302653 * values.std(ddof=1) / 3**0.5
    assert change_interval(values) == pytest.approx((values.mean(), max(0, values.mean() - half), values.mean() + half))
    assert change_interval(values[:1]) == (0.1, 0, 2)


# Verdicts' caveats


def test_saturation_and_rounding_and_few_images_are_said(linear, measured):
    images, spaces = linear.images(8), linear.bases(8)
    caveats = " ".join(measured(linear.classifier(scale=1e4), images, spaces, radius=(1e-12, 5.0), samples=30).verdict.caveats)
    assert "rounding decides it: on at 1e-12, off at 1e-12" in caveats
    assert "8 images are few" in caveats
    still = measured(linear.classifier(scale=1e-9), images, spaces)
    assert still.verdict.label == "inconclusive"
    assert "nothing to compare" in still.verdict.sentence


def test_a_change_near_2_is_said(measured, linear):
    class Jumpy(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(30, 40, generator=torch.Generator().manual_seed(0)))

        def forward(self, images):
            return 1e5 * torch.sin(100 * images.flatten(1) @ self.weight)

    result = measured(Jumpy(), linear.images(40), linear.bases(40), radius=(0.5,))
    assert result.table["change"].min() > 1.5
    assert any("largest value of 2" in caveat for caveat in result.verdict.caveats)


def test_copies_and_single_images(measured, linear):
    one = linear.images(1)
    result = measured(linear.classifier(), one, linear.bases(1))
    assert result.verdict.label == "inconclusive"
    assert "single image" in result.verdict.sentence
    assert any("copies" in caveat for caveat in result.verdict.caveats)
    assert result.details["explained"] is None


# The result


def test_a_result_comes_back_from_its_files(linear, measured, tmp_path):
    result = measured(linear.classifier(), linear.images(), linear.bases(), radius=RADII)
    found = ga.Result.load(result.save(tmp_path))
    assert found.to_json() == result.to_json()
    assert found.ratio() == result.ratio()
    assert found.ratios().equals(result.ratios())
    assert list(found.table.columns) == ["direction", "radius", "change", "low", "high"]
    assert (tmp_path / "manifold_robustness.svg").stat().st_size > 1000
    with pytest.raises(InputError, match="`radius`"):
        found.ratio(0.5)


# Bad input


def test_bases_that_are_none_are_refused(linear, measured):
    module, images, spaces = linear.classifier(), linear.images(), linear.bases()
    with pytest.raises(InputError, match="nothing is off the manifold"):
        measured(module, images, torch.eye(30).expand(60, -1, -1))
    for wrong in (
        spaces[:9],
        spaces[:, :, :9],
        spaces[0],
        spaces > 0,
        2 * spaces,
        spaces * float("nan"),
        spaces[:, :0],
        "neighbours",
    ):
        with pytest.raises(InputError, match="`tangent_spaces`"):
            measured(module, images, wrong)
    with pytest.raises(InputError, match=r"`tangent_spaces`.*orthonormal"):
        measured(module, images, lambda some: 2 * spaces[: len(some)])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("radius", 0.0),
        ("radius", (1.0, 0.5)),
        ("radius", ()),
        ("radius", "far"),
        ("radius", (True,)),
        ("radius", float("inf")),
        ("samples", 0),
        ("samples", 2.0),
        ("seed", -1),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("device", "abacus"),
    ],
)
def test_bad_arguments_are_named(linear, measured, argument, value):
    with pytest.raises(InputError, match=f"`{argument}`"):
        measured(linear.classifier(), linear.images(), linear.bases(), **{argument: value})


def test_a_bad_classifier_or_no_images_are_named(linear, measured):
    with pytest.raises(InputError, match="`classifier`"):
        measured(nn.Linear(3, 2), linear.images(), linear.bases())
    with pytest.raises(InputError, match="`images`"):
        measured(linear.classifier(), linear.images().floats(), linear.bases())


def test_logits_that_noise_makes_infinite_are_refused(linear, measured):
    class Logarithm(nn.Sequential):
        def forward(self, images):
            return super().forward((images + 0.01).log())

    with pytest.raises(InputError, match=r"^`classifier` \(='Logarithm'\) must be one with finite logits at noisy images"):
        measured(Logarithm(*linear.classifier()), linear.images(), linear.bases(), radius=20.0)


def test_a_classifier_in_half_precision_changes_as_in_single(linear, measured):
    single = measured(linear.classifier(), linear.images(), linear.bases(), radius=(0.3, 1.0))
    half = measured(linear.classifier().bfloat16(), linear.images(), linear.bases(), radius=(0.3, 1.0))
    assert half.table["change"].to_numpy() == pytest.approx(single.table["change"].to_numpy(), abs=0.01)
    double = measured(linear.classifier().double(), linear.images(), linear.bases(), radius=(0.3, 1.0))
    assert double.table["change"].to_numpy() == pytest.approx(single.table["change"].to_numpy(), abs=1e-5)
