"""Hugging Face's image classifiers from folders that `save_pretrained` wrote, and as a user's own objects."""

import json

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.classifiers import build_network, check_classifier
from gradaudit.errors import InputError

from .conftest import lively, photographs

REASON = "transformers is not installed: pip install 'gradaudit[transformers]'"
transformers = pytest.importorskip("transformers", reason=REASON)
SIDE = 32
ATTENTION = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
FOURS = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
FAMILIES = {
    "ViT": ATTENTION | {"patch_size": 8},
    "DeiT": ATTENTION | {"patch_size": 8},
    "Dinov2": ATTENTION | {"patch_size": 8},
    "ConvNext": FOURS,
    "ConvNextV2": FOURS,
    "ResNet": FOURS | {"embedding_size": 8},
    "Swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, "patch_size": 2},
}
NAMES = ("dog", "cat", "tree")


def small(family, **options):
    config = getattr(transformers, f"{family}Config")(
        image_size=SIDE,
        id2label=dict(enumerate(NAMES)),
        label2id={name: i for i, name in enumerate(NAMES)},
        **FAMILIES[family],
        **options,
    )
    return lively(getattr(transformers, f"{family}ForImageClassification")(config))


def processor(**options):
    return transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE}, **options)


def folder_of(network, path, **options):
    network.save_pretrained(path)
    processor(**options).save_pretrained(path)
    return path


def theirs(network, path, images):
    """The logits by the library's own processor, from pixels of 0 to 255."""
    pixels = [np.asarray(one.permute(1, 2, 0)) for one in images.images]
    with torch.no_grad():
        inputs = transformers.AutoImageProcessor.from_pretrained(path)(images=pixels, return_tensors="pt")
        return network(**inputs).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_gives_the_librarys_own_logits(family, tmp_path):
    network = small(family)
    folder_of(network, tmp_path, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4])
    images = photographs(SIDE, 3)
    classifier = ga.load_classifier(f"transformers:{tmp_path}")
    expected = theirs(network, tmp_path, images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(classifier(images.floats()), expected, rtol=1e-4, atol=1e-4)
    assert ga.class_names(classifier) == NAMES


@pytest.mark.parametrize(
    "options", [{"do_normalize": False}, {"rescale_factor": 1 / 127.5}, {"do_rescale": False}, {"image_mean": [0.0] * 3}]
)
def test_the_processors_numbers_are_those_of_pixels_up_to_one(options, tmp_path):
    network = small("ResNet")
    folder_of(network, tmp_path, **options)
    images = photographs(SIDE, 2)
    found = ga.load_classifier(f"transformers:{tmp_path}")(images.floats())
    torch.testing.assert_close(found, theirs(network, tmp_path, images), rtol=1e-4, atol=1e-4)


def test_a_folder_without_a_processor_is_told(tmp_path):
    network = small("ResNet")
    network.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="records no normalisation"):
        ga.load_classifier(f"transformers:{tmp_path}")
    images = photographs(SIDE, 2).floats()
    found = ga.load_classifier(f"transformers:{tmp_path}", normalisation="none")
    torch.testing.assert_close(found(images), network(images).logits)


def test_a_processor_of_the_first_years_has_fewer_keys(tmp_path):
    network = small("ViT")
    network.save_pretrained(tmp_path)
    old = {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 2, "size": SIDE}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    images = photographs(SIDE, 2).floats()
    found = ga.load_classifier(f"transformers:{tmp_path}", input_shape=(3, SIDE, SIDE))
    torch.testing.assert_close(found(images), network((images - 0.5) / 0.25).logits)
    with pytest.warns(UserWarning, match="trained on images of 32 x 32 pixels; these are 64 x 64"):
        ga.load_classifier(f"transformers:{tmp_path}", input_shape=(3, 64, 64))


def test_half_precision_is_audited_in_single(tmp_path):
    folder_of(small("ConvNext").half(), tmp_path)
    assert {weight.dtype for weight in ga.load_classifier(f"transformers:{tmp_path}").parameters()} == {torch.float32}


def test_a_network_without_its_head_is_refused(tmp_path):
    transformers.ViTModel(small("ViT").config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"with all weights of ViTForImageClassification; it lacks classifier\.bias"):
        ga.load_classifier(f"transformers:{tmp_path}")


def test_pickled_weights_need_a_word(tmp_path):
    network = small("ResNet")
    folder_of(network, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin may run code"):
        ga.load_classifier(f"transformers:{tmp_path}")
    images = photographs(SIDE, 2)
    found = ga.load_classifier(f"transformers:{tmp_path}", allow_pickle=True)
    torch.testing.assert_close(found(images.floats()), theirs(network, tmp_path, images), rtol=1e-4, atol=1e-4)


def test_code_in_a_folder_is_not_run(tmp_path):
    described = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(InputError, match="a network that transformers can build"):
        ga.load_classifier(f"transformers:{tmp_path}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_flip_channel_order": True}, r"only normalises; do_flip_channel_order=True"),
        ({"image_mean": None}, "image_mean and image_std"),
    ],
)
def test_a_processor_that_does_more_is_refused(change, message, tmp_path):
    path = folder_of(small("ResNet"), tmp_path) / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        ga.load_classifier(f"transformers:{tmp_path}")


def test_folders_that_are_something_else_are_named(tmp_path):
    with pytest.raises(InputError, match=r"a folder with a config\.json"):
        ga.load_classifier("transformers:google/vit-base-patch16-224")
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a network that transformers can build"):
        ga.load_classifier(f"transformers:{tmp_path}")
    with pytest.raises(InputError, match="given no options"):
        ga.load_classifier(f"transformers:{tmp_path}(layers=3)")


def test_its_architecture_with_other_weights_and_untrained(tmp_path):
    network = small("ViT")
    folder_of(network, tmp_path / "folder")
    untrained = build_network(f"transformers:{tmp_path / 'folder'}", (1, 16, 16), 5, seed=0)
    assert untrained(torch.rand(2, 1, 16, 16)).shape == (2, 5)
    again = build_network(f"transformers:{tmp_path / 'folder'}", (1, 16, 16), 5, seed=0)
    assert all(torch.equal(one, other) for one, other in zip(untrained.parameters(), again.parameters(), strict=True))
    other = lively(small("ViT"), seed=1)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    images = photographs(SIDE, 2)
    found = ga.load_classifier(f"transformers:{tmp_path / 'folder'}", tmp_path / "other.pt", input_shape=(3, SIDE, SIDE))
    torch.testing.assert_close(found(images.floats()), theirs(other, tmp_path / "folder", images), rtol=1e-4, atol=1e-4)


def test_its_verbosity_is_as_it_was(tmp_path):
    words = transformers.utils.logging
    before = words.get_verbosity(), words.is_progress_bar_enabled()
    folder_of(small("ResNet"), tmp_path)
    ga.load_classifier(f"transformers:{tmp_path}")
    assert (words.get_verbosity(), words.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_users_own_object_is_taken_as_it_is(family):
    network = small(family)
    images = photographs(SIDE, 4, ("dog", "cat"))
    with pytest.warns(UserWarning, match=r"`logits` of its \w+ is taken as logits"):
        taken = check_classifier(network, images).classifier
    torch.testing.assert_close(taken(images.floats()), network(images.floats()).logits)
    assert ga.class_names(network) == NAMES


def test_classes_in_another_order_than_its_own_are_refused():
    network, images = small("ResNet"), photographs(SIDE, 4, ("cat", "dog"))
    with pytest.raises(
        InputError, match=r"in the order of the images' classes, cat, dog; by its own names they are dog, cat, tree"
    ):
        ga.robustness(network, images, eps=(0, 0.01), steps=1)
    ordered = ga.in_order(images, ga.class_names(network))
    assert (ordered.classes, ordered.labels.tolist()) == (NAMES, [1, 0, 1, 0])
    with pytest.warns(UserWarning, match="is taken as logits"):
        ga.robustness(network, ordered, eps=(0, 0.01), steps=1)
