"""timm's own networks, checkpoints as its training writes them, and folders as it writes them for the hub."""

import pytest
import torch

import gradaudit as ga
from gradaudit.classifiers import build_network
from gradaudit.errors import InputError

from .conftest import HALF, IMAGENET, by_hand, lively, photographs

REASON = "timm is not installed: pip install 'gradaudit[timm]'"
timm = pytest.importorskip("timm", reason=REASON)
FAMILIES = {  # side, normalisation
    "resnet10t": (64, IMAGENET),
    "convnext_atto": (64, IMAGENET),
    "vit_tiny_patch16_224": (224, HALF),
    "swin_tiny_patch4_window7_224": (224, IMAGENET),
    "efficientnet_lite0": (64, IMAGENET),
    "inception_v3": (96, None),
    "densenet121": (64, IMAGENET),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_gives_the_librarys_own_logits(name, tmp_path):
    side, normalisation = FAMILIES[name]
    network = lively(timm.create_model(name, num_classes=5))
    torch.save({"epoch": 3, "arch": name, "state_dict": network.state_dict()}, tmp_path / "last.pth.tar")
    record = network.pretrained_cfg
    images = photographs(side, 2).floats()
    classifier = ga.load_classifier(f"timm:{name}", tmp_path / "last.pth.tar", input_shape=(3, side, side))
    expected = by_hand(network, images, (record["mean"], record["std"]))
    assert normalisation in (None, (tuple(record["mean"]), tuple(record["std"])))
    assert expected.std() > 1e-3
    torch.testing.assert_close(classifier(images), expected)


def test_classes_of_imagenet_are_known_by_wordnets_numbers(tmp_path):
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "whole.pth")
    names = ga.class_names(ga.load_classifier("timm:resnet10t", tmp_path / "whole.pth"))
    assert (len(names), names[0], names[217]) == (1000, "n01440764", "n02102040")
    images = photographs(64, 4, ("n02102040", "n01440764"))
    assert ga.in_order(images, names).labels.tolist() == [217, 0, 217, 0]


def test_a_tag_chooses_the_record():
    assert (
        build_network("timm:vit_base_patch16_224.dino(num_classes=3, depth=1)", (3, 224, 224), 3).pretrained_cfg["mean"]
        == (IMAGENET[0])
    )


@pytest.mark.parametrize("safe", [True, "both", False])
def test_a_folder_that_it_wrote_for_the_hub_needs_no_network(safe, tmp_path):
    from timm.models import save_for_hf

    network = lively(timm.create_model("resnet10t", num_classes=3))
    network.pretrained_cfg["mean"] = (0.1, 0.2, 0.3)
    save_for_hf(network, tmp_path, model_config={"label_names": ["a", "b", "c"]}, safe_serialization=safe)
    images = photographs(176, 2).floats()
    classifier = ga.load_classifier(f"timm:local-dir:{tmp_path}", input_shape=(3, 176, 176))
    torch.testing.assert_close(classifier(images), by_hand(network, images, ((0.1, 0.2, 0.3), IMAGENET[1])))
    assert ga.class_names(classifier) == ("a", "b", "c")
    with pytest.warns(UserWarning, match="176 x 176 or 224 x 224 pixels; these are 64 x 64"):
        ga.load_classifier(f"timm:local-dir:{tmp_path}", input_shape=(3, 64, 64))


def test_its_authors_names_of_tensors_are_read(tmp_path):
    """ConvNeXt as its authors published it; timm renames in its own loading, too."""
    from timm.models.convnext import checkpoint_filter_fn

    network = lively(timm.create_model("convnext_atto", num_classes=1000))
    state = network.state_dict()
    theirs = {}
    for name, value in state.items():
        name = name.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        for stage in range(4):
            name = name.replace(f"stages.{stage}.blocks.", f"stages.{stage}.")
            name = name.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        theirs[name] = value
    assert checkpoint_filter_fn(dict(theirs), network).keys() == state.keys()
    torch.save({"model": theirs}, tmp_path / "convnext.pth")
    images = photographs(64, 2).floats()
    torch.testing.assert_close(
        ga.load_classifier("timm:convnext_atto", tmp_path / "convnext.pth")(images), by_hand(network, images, IMAGENET)
    )


def test_grey_images_are_taken_by_a_network_for_them(tmp_path):
    network = lively(timm.create_model("resnet10t", num_classes=4, in_chans=1))
    torch.save(network.state_dict(), tmp_path / "grey.pth")
    images = photographs(64, 2).floats()[:, :1]
    found = ga.load_classifier("timm:resnet10t", tmp_path / "grey.pth", input_shape=(1, 64, 64), normalisation="0.5/0.5")
    torch.testing.assert_close(found(images), network((images - 0.5) / 0.5))
    with pytest.raises(InputError, match="given for 1 channels"):
        ga.load_classifier("timm:resnet10t", tmp_path / "grey.pth", input_shape=(1, 64, 64))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet9999(pretrained=true)", "Unknown model"),
        ("timm:hf-hub:timm/resnet10t.c3_in1k", "checkpoint with the weights of"),
        ("timm:local-dir:nowhere", "timm's config.json"),
        ("timm:somewhere/resnet10t(pretrained=true)", "timm can build"),
    ],
)
def test_what_can_not_be_had_is_named(name, message):
    with pytest.raises(InputError, match=message):
        ga.load_classifier(name)
