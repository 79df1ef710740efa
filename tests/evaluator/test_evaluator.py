"""The evaluator itself: its masks, its blocks, its networks, its file, its place in the store, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.attributions import rank
from gradaudit.evaluator import EvaluatorTraining, MaskPool, PoolRanking, resolve_evaluator
from gradaudit.evaluator.blocks import alike
from gradaudit.evaluator.masks import own_masks, random_masks
from gradaudit.evaluator.network import SeesMask
from gradaudit.fills import resolve_fill

SHORT = ga.Recipe(network="convnet(width=4, batch_norm=true)", epochs=3, batch_size=32)


def fitted(train, store, evaluator=SHORT, **options):
    return ga.Evaluator.fit(train, evaluator, store=store, device="cpu", **options)


def half(images, seed=0):
    return torch.rand(len(images), 1, *images.shape[1:], generator=torch.Generator().manual_seed(seed)) < 0.5


def training_on(train, **options):
    spec = resolve_evaluator(SHORT, train, 1)
    return EvaluatorTraining(spec, train, "coordinates", resolve_fill("zero", train), 0.1, (), 0, torch.device("cpu"), **options)


class TestMasks:
    def test_levels_are_log_uniform_from_half_the_lowest(self):
        torch.manual_seed(0)
        shares = MaskPool((1, 20, 20), "coordinates", 0.02, 0).draw(4000).float().mean(dim=(1, 2, 3))
        assert shares.min() >= 0.0075
        assert shares.max() <= 0.9825
        # As many below a tenth as from there up, by the logarithms of .01, .1 and .98.
        assert (shares < 0.1).float().mean().item() == pytest.approx(np.log(10) / np.log(98), abs=0.04)

    def test_pixels_are_kept_over_all_channels_and_coordinates_each_by_itself(self):
        assert MaskPool((3, 8, 8), "pixels", 0.1, 0).draw(5).shape == (5, 1, 8, 8)
        assert MaskPool((3, 8, 8), "coordinates", 0.1, 0).draw(5).shape == (5, 3, 8, 8)

    def test_half_of_the_masks_follow_the_rankings_that_are_given(self):
        torch.manual_seed(0)
        first = torch.zeros(50, 1, 10, 10)
        first[:, :, :, :5] = 1.0 + torch.rand(50, 1, 10, 5)
        pool = MaskPool((1, 10, 10), "coordinates", 0.1, 0, (PoolRanking(rank(first, 0, 0), "left"),))
        masks = pool.draw(4000)
        small = masks[masks.sum(dim=(1, 2, 3)) <= 50]
        left, right = small[..., :5].sum(dim=(1, 2, 3)), small[..., 5:].sum(dim=(1, 2, 3))
        assert ((left == 0) | (right == 0)).float().mean().item() == pytest.approx(0.5, abs=0.12)

    def test_of_the_masks_by_a_ranking_as_many_keep_its_lowest_features_as_its_highest(self):
        torch.manual_seed(0)
        first = torch.zeros(50, 1, 10, 10)
        first[:, :, :, :5] = 1.0 + torch.rand(50, 1, 10, 5)
        pool = MaskPool((1, 10, 10), "coordinates", 0.1, 0, (PoolRanking(rank(first, 0, 0), "left"),))
        masks = pool.draw(4000)
        kept = masks.sum(dim=(1, 2, 3))
        left = masks[..., :5].sum(dim=(1, 2, 3))
        some = (kept >= 15) & (kept <= 50)  # so many in one half, and none in the other, hardly by chance
        high, low = (int((some & (left == number)).sum()) for number in (kept, 0))
        assert high + low > 400
        assert high / (high + low) == pytest.approx(0.5, abs=0.1)

    def test_a_mask_keeps_and_removes_one_feature_at_least(self):
        torch.manual_seed(0)
        counts = MaskPool((1, 1, 3), "coordinates", 0.02, 0).draw(400).sum(dim=(1, 2, 3))
        assert counts.unique().tolist() == [1, 2]

    def test_the_same_random_state_gives_the_same_masks_and_another_seed_others(self):
        def drawn(seed):
            torch.manual_seed(1)
            return MaskPool((1, 8, 8), "coordinates", 0.05, seed).draw(64)

        assert torch.equal(drawn(0), drawn(0))
        # Of both kinds, random and smooth: the random state chooses kind, place and level, the seed the rankings.
        assert (drawn(0) != drawn(1)).flatten(1).any(dim=1).float().mean() > 0.9


class TestOneKindOfMask:
    """The masks of a network that an evaluator is compared with, by numbers of features."""

    def test_a_ranking_of_other_images_keeps_its_highest(self):
        ranks = rank(torch.rand(5, 1, 4, 5, generator=torch.Generator().manual_seed(0)), 0, 0)
        highest = {(ranks[place] + 10 < 6).tobytes() for place in range(5)}
        drawn = random_masks((1, 4, 5), "coordinates", 0.3, 0, PoolRanking(ranks, "some"))(200)
        assert drawn.shape == (200, 1, 4, 5)
        assert {mask.numpy().tobytes() for mask in drawn} == highest

    def test_random_ones_keep_every_feature_as_often(self):
        torch.manual_seed(0)
        drawn = random_masks((1, 4, 5), "coordinates", 0.3, 0)(4000)
        assert drawn.sum(dim=(1, 2, 3)).unique().tolist() == [6]
        assert drawn.float().mean(dim=0).flatten().tolist() == pytest.approx([0.3] * 20, abs=0.07)

    def test_an_images_own_mask_keeps_its_highest(self):
        ranks = rank(torch.rand(5, 3, 4, 5, generator=torch.Generator().manual_seed(0)), 0, 0, "pixels")
        drawn = own_masks(PoolRanking(ranks, "own"), (3, 4, 5), "pixels", 0.3)(torch.tensor([4, 0, 4]))
        np.testing.assert_array_equal(drawn.flatten(1).numpy(), ranks[[4, 0, 4]] + 10 < 6)


class TestBlocks:
    def test_every_image_stands_in_a_block_and_classes_are_in_proportion(self, tiny):
        images = tiny(240, 0)
        blocks = alike(images.images.numpy(), images.labels.numpy(), 12, [0, 0])
        assert torch.equal(blocks.flatten().sort().values, torch.arange(240))
        counts = torch.stack([images.labels[block].bincount(minlength=3) for block in blocks])
        assert int((counts - 4).abs().max()) <= 1

    def test_classes_of_uneven_size_are_in_proportion_in_every_block(self, tiny):
        images = tiny(240, 0)
        labels = np.repeat(np.arange(3), [160, 60, 20])
        blocks = alike(images.images.numpy(), labels, 12, [0, 0])
        counts = torch.stack([torch.from_numpy(labels)[block].bincount(minlength=3) for block in blocks])
        assert int((counts - torch.tensor([8, 3, 1])).abs().max()) <= 1

    def test_images_of_a_block_are_alike(self):
        rng = np.random.default_rng(0)
        kind, labels = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
        images = (kind[:, None] * 200 + rng.integers(0, 50, (400, 64))).astype(np.uint8).reshape(400, 1, 8, 8)
        blocks = alike(images, labels, 8, [0, 0])
        mixed = np.mean([len(set(kind[block])) > 1 for block in blocks.numpy()])
        assert mixed < 0.15  # drawn without a look, 254 of 256 would be

    def test_a_last_block_is_filled_from_the_first(self, tiny):
        images = tiny(50, 0)
        blocks = alike(images.images.numpy(), images.labels.numpy(), 8, [0, 0])
        assert blocks.shape == (7, 8)
        assert set(blocks.flatten().tolist()) == set(range(50))


class TestTraining:
    def test_it_is_found_in_the_store_and_reads_the_same(self, tiny, tmp_path):
        train, test = tiny(240, 0), tiny(90, 1)
        first = fitted(train, tmp_path).bits(test, half(test))
        files = list(tmp_path.rglob("*.safetensors"))
        assert len(files) == 1
        before = files[0].stat().st_mtime_ns
        assert np.array_equal(fitted(train, tmp_path).bits(test, half(test)), first)
        assert files[0].stat().st_mtime_ns == before

    @pytest.mark.parametrize("changed", [{"seed": 1}, {"lowest": 0.1}, {"features": "pixels"}, {"fill": "zero"}])
    def test_what_decides_it_tells_it_from_others(self, tiny, tmp_path, changed):
        train = tiny(60, 0, channels=3)
        fitted(train, tmp_path)
        fitted(train, tmp_path, **changed)
        assert len(list(tmp_path.rglob("*.safetensors"))) == 2

    def test_a_training_that_was_stopped_goes_on_and_ends_the_same(self, tiny, tmp_path, monkeypatch):
        train, test = tiny(240, 0), tiny(90, 1)
        whole = fitted(train, tmp_path / "whole").bits(test, half(test))
        from gradaudit.evaluator import training

        class StoppedError(Exception):
            pass

        steps = []

        def stopping(run):
            steps.append(run.step)
            if run.step == 11:
                raise StoppedError

        monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
        from gradaudit.training import Store

        way = resolve_evaluator(SHORT, train, 1)
        run = EvaluatorTraining(way, train, "coordinates", resolve_fill("mean", train), 0.02, (), 0, torch.device("cpu"))
        with pytest.raises(StoppedError):
            run.train(Store(tmp_path / "stopped"), after_step=stopping)
        assert list((tmp_path / "stopped").rglob("*.checkpoint"))
        assert np.array_equal(fitted(train, tmp_path / "stopped").bits(test, half(test)), whole)
        assert not list((tmp_path / "stopped").rglob("*.checkpoint"))

    @pytest.mark.parametrize("only", [None, 0.3])
    def test_the_images_of_a_block_are_shown_under_one_mask_and_blocks_under_masks_of_their_own(self, tiny, only):
        draw, count = training_on(tiny(240, 0), only=only).draw()
        assert count == 30
        torch.manual_seed(0)
        seen, labels = draw(torch.arange(20))
        masks = seen.view(20, 8, 2, 8, 8)[:, :, 1]
        assert torch.equal(masks, masks[:, :1].expand(-1, 8, -1, -1))
        assert len({mask.numpy().tobytes() for mask in masks[:, 0]}) == 20
        assert torch.equal(seen[:, 0] == seen[:, 0] * seen[:, 1], torch.ones(160, 8, 8, dtype=torch.bool))  # black where removed
        of_blocks = torch.stack([block.bincount(minlength=3) for block in labels.view(20, 8)])
        assert int(of_blocks.min()) >= 2

    def test_a_learner_of_own_masks_shows_every_image_under_its_own(self, tiny):
        train = tiny(240, 0)
        ranks = rank(torch.rand(240, 1, 8, 8, generator=torch.Generator().manual_seed(0)), 0, 0)
        draw, _ = training_on(train, only=0.25, own=PoolRanking(ranks, "own")).draw()
        seen, _ = draw(torch.arange(4))
        known = {image.tobytes(): place for place, image in enumerate((ranks + 32 < 16) * train.images.flatten(1).numpy())}
        for shown in seen:
            place = known[(shown[0] * 255).round().to(torch.uint8).numpy().tobytes()]
            np.testing.assert_array_equal(shown[1].flatten().numpy(), ranks[place] + 32 < 16)

    def test_rankings_of_other_images_join_the_masks(self, tiny, tmp_path):
        train, test = tiny(120, 0), tiny(60, 1)
        scores = torch.rand(30, 1, 8, 8)
        with_them = fitted(train, tmp_path, scores=[scores]).bits(test, half(test))
        assert not np.array_equal(fitted(train, tmp_path).bits(test, half(test)), with_them)


class TestReading:
    def test_an_image_that_shows_its_class_has_the_labels_bits_and_no_pixels_none(self, tiny, tmp_path):
        train, test = tiny(600, 0), tiny(90, 1)
        evaluator = fitted(train, tmp_path, ga.Recipe(network="convnet(width=4, batch_norm=true)", epochs=12, batch_size=32))
        everything, nothing = torch.ones(90, 8, 8, dtype=torch.bool), torch.zeros(90, 8, 8, dtype=torch.bool)
        assert evaluator.bits(test, everything).mean() > 1.3  # of log2(3) = 1.585
        assert evaluator.bits(test, nothing).mean() == pytest.approx(0, abs=0.02)

    def test_masks_may_be_flat_or_of_one_channel(self, tiny, tmp_path):
        train, test = tiny(60, 0, channels=3), tiny(30, 1, channels=3)
        evaluator = fitted(train, tmp_path)
        one = half(test)[:, 0]
        wide = one[:, None].expand(-1, 3, -1, -1)
        assert np.array_equal(evaluator.bits(test, one), evaluator.bits(test, wide))
        assert np.array_equal(evaluator.bits(test, wide.reshape(30, -1).numpy()), evaluator.bits(test, wide))

    @pytest.mark.parametrize(
        ("masks", "words"),
        [
            (torch.ones(29, 8, 8, dtype=torch.bool), "one for each image"),
            (torch.ones(30, 8, 8), "boolean"),
            (torch.ones(30, 2, 8, 8, dtype=torch.bool), "boolean"),
        ],
    )
    def test_masks_of_another_shape_or_kind_are_refused(self, tiny, tmp_path, masks, words):
        test = tiny(30, 1)
        with pytest.raises(ga.InputError, match=words) as caught:
            fitted(tiny(60, 0), tmp_path).bits(test, masks)
        assert caught.value.argument == "masks"

    def test_other_classes_and_other_sizes_are_refused(self, tiny, tmp_path):
        evaluator = fitted(tiny(60, 0), tmp_path)
        test = tiny(30, 1)
        renamed = ga.ImageSet(test.images, test.labels, ("x", "y", "z"))
        with pytest.raises(ga.InputError, match="classes"):
            evaluator.bits(renamed, half(renamed))
        with pytest.raises(ga.InputError, match="of shape"):
            evaluator.bits(tiny(30, 1, channels=3), half(test))


class TestFile:
    def test_it_is_saved_and_loaded(self, tiny, tmp_path):
        train, test = tiny(120, 0), tiny(60, 1)
        evaluator = fitted(train, tmp_path / "store")
        loaded = ga.Evaluator.load(evaluator.save(tmp_path / "evaluator.safetensors"), device="cpu")
        assert np.array_equal(loaded.bits(test, half(test)), evaluator.bits(test, half(test)))
        assert loaded.classes == ("a", "b", "c")
        assert loaded.recipe == evaluator.recipe

    def test_another_file_is_refused(self, tiny, tmp_path):
        classifier = ga.train_once(ga.Recipe(network="linear", epochs=1), tiny(60, 0), store=tmp_path, device="cpu")
        other = ga.save_classifier(tmp_path / "c.safetensors", classifier, network="linear", input_shape=(1, 8, 8), classes=3)
        with pytest.raises(ga.InputError, match=r"Evaluator\.save"):
            ga.Evaluator.load(other)
        with pytest.raises(ga.InputError, match="exists"):
            ga.Evaluator.load(tmp_path / "none.safetensors")
        with pytest.raises(ga.InputError, match="safetensors"):
            fitted(tiny(60, 0), tmp_path).save(tmp_path / "evaluator.pt")

    def test_a_fill_that_is_not_the_same_everywhere_is_given_again(self, tiny, tmp_path):
        train, test = tiny(60, 0), tiny(30, 1)
        evaluator = fitted(train, tmp_path / "store", fill="blur(sigma=1)")
        path = evaluator.save(tmp_path / "evaluator.safetensors")
        with pytest.raises(ga.InputError, match="blur"):
            ga.Evaluator.load(path, device="cpu")
        loaded = ga.Evaluator.load(path, fill=resolve_fill("blur(sigma=1)", train), device="cpu")
        assert np.array_equal(loaded.bits(test, half(test)), evaluator.bits(test, half(test)))


class Own(nn.Module):
    """A user's network: a convolution behind an upsampling, wherever its author put it."""

    def __init__(self, classes=3):
        super().__init__()
        self.stem = nn.ModuleDict({"first": nn.Conv2d(1, 8, 3, stride=2, padding=1)})
        self.head = nn.Linear(8, classes)

    def forward(self, images):
        large = nn.functional.interpolate(images, scale_factor=2)
        return self.head(self.stem["first"](large).relu().mean(dim=(2, 3)))


class Patches(nn.Module):
    """One that begins with neither a convolution nor a linear layer over the image."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, images):
        return self.head(self.embed(images[:, 0]).relu().mean(dim=1))


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))


class TestOwnNetwork:
    @pytest.mark.parametrize("make", [Own, Patches, flat])
    def test_it_begins_as_it_was_whatever_the_mask(self, tiny, make):
        network = make().eval()
        images = tiny(6, 0).floats()
        seeing = SeesMask(network, images, 1).eval()
        with torch.no_grad():
            for masks in (torch.zeros(6, 1, 8, 8), torch.ones(6, 1, 8, 8)):
                assert torch.equal(seeing(torch.cat([images, masks], dim=1)), network(images))

    @pytest.mark.parametrize(("make", "sees"), [(Own, True), (flat, True), (Patches, False)])
    def test_its_first_layer_gets_weights_for_masks_where_it_can(self, tiny, make, sees):
        images = tiny(6, 0).floats()
        seeing = SeesMask(make(), images, 1)
        assert (seeing.widened is not None) == sees
        if sees:
            nn.init.ones_(seeing.widened.beside.weight)
            shown = [torch.cat([images, masks], dim=1) for masks in (torch.zeros(6, 1, 8, 8), torch.ones(6, 1, 8, 8))]
            assert not torch.equal(seeing(shown[0]), seeing(shown[1]))

    def test_it_is_fine_tuned_as_a_copy_saved_and_loaded(self, tiny, tmp_path):
        train, test = tiny(240, 0), tiny(90, 1)
        network = Own()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        schedule = ga.named_recipe("evaluators/fine-tune", epochs=4)
        evaluator = fitted(train, tmp_path / "store", network, fine_tune=schedule)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        told = evaluator.bits(test, half(test))
        path = evaluator.save(tmp_path / "own.safetensors")
        with pytest.raises(ga.InputError, match="network"):
            ga.Evaluator.load(path, device="cpu")
        assert np.array_equal(ga.Evaluator.load(path, network=Own(), device="cpu").bits(test, half(test)), told)
        with pytest.raises(ga.InputError, match="fine-tuned"):
            ga.Evaluator.load(path, network=Patches(), device="cpu")

    def test_one_of_too_few_classes_is_refused_before_any_work(self, tiny, tmp_path):
        with pytest.raises(ga.InputError, match="3 logits") as caught:
            fitted(tiny(60, 0), tmp_path, Own(classes=2))
        assert caught.value.argument == "evaluator"
        assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"lowest": 0.0}, "lowest"),
        ({"lowest": 1}, "lowest"),
        ({"features": "patches"}, "features"),
        ({"seed": -1}, "seed"),
        ({"scores": [torch.rand(4, 1, 9, 9)]}, "scores"),
        ({"scores": [torch.full((4, 1, 8, 8), float("nan"))]}, "scores"),
        ({"evaluator": "evaluators/none"}, "evaluator"),
        ({"fill": "none"}, "fill"),
    ],
)
def test_bad_arguments_are_named_before_any_work(tiny, tmp_path, options, argument):
    with pytest.raises(ga.InputError) as caught:
        fitted(tiny(60, 0), tmp_path, **options)
    assert caught.value.argument == argument
    assert not list(tmp_path.rglob("*.safetensors"))


def test_one_feature_is_too_few_to_keep_some_and_remove_some(tmp_path):
    spots = ga.ImageSet(np.zeros((20, 3, 1, 1), np.uint8), np.arange(20) % 2, ("a", "b"))
    with pytest.raises(ga.InputError, match="two features") as caught:
        fitted(spots, tmp_path, "evaluators/mlp", features="pixels")
    assert caught.value.argument == "train"
    assert fitted(spots, tmp_path, ga.named_recipe("evaluators/mlp", epochs=1)).features == "coordinates"


def test_images_that_are_too_small_for_the_network_point_to_the_one_for_them(three_bits, tmp_path):
    with pytest.raises(ga.InputError, match="evaluators/mlp"):
        fitted(three_bits(60, 0)[0], tmp_path, "evaluators/convnet")


class OfALibrary(nn.Module):
    """It asks its first layer for a dtype, as transformers' do, and returns further logits in training, as GoogLeNet does."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

    def forward(self, images):
        logits = self.last(self.first(images.to(self.first.weight.dtype)).relu().mean(dim=(2, 3)))
        return (logits, logits) if self.training else logits


def test_a_network_of_a_librarys_habits_sees_the_mask(tmp_path):
    torch.manual_seed(0)
    network, images = OfALibrary(), torch.rand(4, 1, 8, 8)
    wide = SeesMask(network, images, 1)
    assert wide.widened is not None
    shown = torch.cat([images, torch.ones(4, 1, 8, 8)], dim=1)
    assert torch.equal(wide.eval()(shown), network.eval()(images))
    assert wide.train()(shown).shape == (4, 2)
