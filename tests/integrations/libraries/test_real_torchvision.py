"""torchvision's own networks and files in the format of its published weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.classifiers import build_network
from gradaudit.errors import InputError

from .conftest import IMAGENET, by_hand, lively, photographs

REASON = "torchvision is not installed: pip install 'gradaudit[torchvision]'"
models = pytest.importorskip("torchvision.models", reason=REASON)
ODD = {"inception_v3": {"init_weights": False, "aux_logits": True}, "googlenet": {"init_weights": False, "aux_logits": True}}
FAMILIES = {
    "resnet18": 64,
    "convnext_tiny": 64,
    "vit_b_32": 224,
    "swin_t": 64,
    "efficientnet_b0": 64,
    "densenet121": 64,
    "mnasnet0_5": 64,
    "inception_v3": 96,
    "googlenet": 64,
}
OLD = {  # names in files that were published before torchvision renamed the layers
    "densenet121": lambda name: name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."),
    "vit_b_32": lambda name: name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."),
}
LEFT = "ignore:.* of the tensors in .* are of no part of the network"
SIZE = "ignore:.*was trained on images of"


def published(name, folder, rename=None):
    """The library's network, and its weights in a file of the name under which it publishes them."""
    network = lively(models.get_model(name, weights=None, **ODD.get(name, {})))
    entry = models.get_model_weights(name).DEFAULT
    path = Path(folder) / entry.url.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    state = network.state_dict()
    if rename is not None:  # such files have no version, and no counters
        state = {rename(name): value for name, value in state.items() if "num_batches" not in name}
    torch.save(state, path)
    if name in ODD:
        network.transform_input = True  # as its own function sets it with published weights
    return network, path, entry


@pytest.mark.filterwarnings(LEFT, SIZE)
@pytest.mark.parametrize("name", FAMILIES)
def test_published_files_give_the_librarys_own_logits(name, tmp_path):
    network, path, entry = published(name, tmp_path, OLD.get(name))
    images = photographs(FAMILIES[name], 2).floats()
    classifier = ga.load_classifier(f"torchvision:{name}", path, input_shape=images.shape[1:])
    expected = by_hand(network, images, IMAGENET)
    assert expected.std() > 1e-3
    torch.testing.assert_close(classifier(images), expected)
    assert ga.class_names(classifier) == tuple(entry.meta["categories"])


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning", SIZE)
@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet", "inception_v3"])
def test_pretrained_is_read_from_torchs_own_cache(name, tmp_path):
    rename = OLD.get(name)
    network, _, _ = published(name, tmp_path / "torch" / "hub" / "checkpoints", rename)
    images = photographs(224, 2).floats()
    classifier = ga.load_classifier(f"torchvision:{name}(pretrained=true)", input_shape=(3, 224, 224))
    torch.testing.assert_close(classifier(images), by_hand(network, images, IMAGENET))
    assert len(ga.class_names(classifier)) == 1000


class Harmful:
    ran = False

    def __setstate__(self, state):
        Harmful.ran = True


def test_a_cached_file_with_code_in_it_is_not_run(tmp_path):
    _, path, _ = published("resnet18", tmp_path / "torch" / "hub" / "checkpoints")
    harmful = Harmful()
    harmful.value = 1
    torch.save({"state": harmful}, path)
    with pytest.raises(InputError, match="torchvision can build"):
        ga.load_classifier("torchvision:resnet18(pretrained=true)")
    assert not Harmful.ran


def test_the_normalisation_is_the_published_one_of_each_network():
    for name in models.list_models(module=models):
        whole = [one for one in models.get_model_weights(name) if one.meta["categories"]]  # VGG16 has one of features alone
        records = {(tuple(one.transforms().mean), tuple(one.transforms().std)) for one in whole}
        expected = ((0.5,) * 3,) * 2 if name == "efficientnet_v2_l" else IMAGENET
        assert records == {expected}, name


@pytest.mark.filterwarnings(SIZE)
def test_the_number_of_classes_is_the_files(tmp_path):
    network = lively(models.resnet18(num_classes=7))
    torch.save({"state_dict": {f"module.{name}": value for name, value in network.state_dict().items()}}, tmp_path / "mine.pth")
    images = photographs(32, 2).floats()
    for classes in (None, 2):
        classifier = ga.load_classifier("torchvision:resnet18", tmp_path / "mine.pth", input_shape=(3, 32, 32), classes=classes)
        torch.testing.assert_close(classifier(images), by_hand(network, images, IMAGENET))
    assert ga.class_names(classifier) is None


def test_own_weights_of_inception_may_normalise_twice_and_that_is_asked(tmp_path):
    network = lively(models.inception_v3(num_classes=3, aux_logits=False, init_weights=False))
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    images = photographs(96, 2).floats()
    with pytest.warns(UserWarning, match=r"trained from scratch; .*inception_v3\(transform_input=true\)"):
        classifier = ga.load_classifier("torchvision:inception_v3", tmp_path / "mine.pth")
    torch.testing.assert_close(classifier(images), by_hand(network, images, IMAGENET))
    network.transform_input = True
    classifier = ga.load_classifier("torchvision:inception_v3(transform_input=true)", tmp_path / "mine.pth")
    torch.testing.assert_close(classifier(images), by_hand(network, images, IMAGENET))


def test_images_of_another_size_than_the_published_are_told(tmp_path):
    _, path, _ = published("resnet18", tmp_path)
    with pytest.warns(UserWarning, match="was trained on images of 224 x 224 pixels; these are 32 x 32"):
        ga.load_classifier("torchvision:resnet18", path, input_shape=(3, 32, 32))
    with pytest.raises(InputError, match=r"`input_shape` .* of 3 channels"):
        ga.load_classifier("torchvision:resnet18", path, input_shape=(1, 224, 224))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_further_heads_are_left_out_of_networks_by_name(name):
    network = build_network(f"torchvision:{name}", (3, 96, 96), 3, seed=0)
    assert network.train()(photographs(96, 2).floats()).shape == (2, 3)


def test_a_network_that_returns_further_heads_in_training_is_fine_tuned(tmp_path):
    own = lively(models.googlenet(num_classes=2, **ODD["googlenet"]))
    tune = ga.named_recipe("evaluators/fine-tune", epochs=1, batch_size=4)
    evaluator = ga.Evaluator.fit(photographs(64), own, fine_tune=tune, store=tmp_path, device="cpu")
    assert evaluator.bits(photographs(64), np.ones((4, 3, 64, 64), dtype=bool)).shape == (4,)


@pytest.mark.parametrize("name", ["resnet9999", "raft_large"])
def test_what_is_no_classifier_is_named(name):
    with pytest.raises(InputError, match=f"torchvision:{name}"):
        ga.load_classifier(f"torchvision:{name}(pretrained=true)")
