"""Learning curves: told, drawn, kept in the classifier's file; TensorBoard's logs."""

import importlib.util

import pytest

from gradaudit.classifiers import classifier_metadata
from gradaudit.errors import InputError, MissingExtraError
from gradaudit.training import Epoch, Recipe, draw_curves, measure_accuracy, save_trained, train

RECIPE = Recipe(network="mlp(width=8)", epochs=3, batch_size=16)
EPOCHS = [Epoch(1, 2.0, 0.5), Epoch(2, 1.0, 0.7525)]


def test_every_epoch_is_told_with_its_loss_and_accuracy(small):
    told, again = [], []
    classifier = train(RECIPE, small, device="cpu", test=small, on_epoch=told.append)
    assert [epoch.number for epoch in told] == [1, 2, 3]
    assert told[0].loss > told[2].loss > 0
    assert told[-1].accuracy == measure_accuracy(classifier, small, device="cpu")
    train(RECIPE, small, device="cpu", on_epoch=again.append)
    assert again == [epoch._replace(accuracy=None) for epoch in told]


def test_the_curves_are_kept_in_the_classifiers_file(small, tmp_path):
    told = []
    classifier = train(RECIPE, small, device="cpu", test=small, on_epoch=told.append)
    path = save_trained(tmp_path / "a.safetensors", classifier, RECIPE, small, accuracy=told[-1].accuracy, epochs=told)
    kept = classifier_metadata(path)["metadata"]["epochs"]
    assert [Epoch(**epoch) for epoch in kept] == told


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
@pytest.mark.parametrize("epochs", [EPOCHS, [Epoch(1, 0.5, None)]], ids=["measured", "not"])
def test_they_are_drawn(tmp_path, suffix, epochs):
    path = draw_curves(tmp_path / f"a{suffix}", epochs, "mlp on digits")
    data = path.read_bytes()
    assert data.startswith({".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])
    if suffix == ".svg":
        text = data.decode()
        assert ("0.7525 at last" in text) == (epochs is EPOCHS)
        assert draw_curves(tmp_path / "b.svg", epochs, "mlp on digits").read_bytes() == data


def test_a_bad_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"`path` .* ends in \.svg, \.png, \.pdf"):
        draw_curves(tmp_path / "a.jpg", EPOCHS)
    with pytest.raises(InputError, match="`epochs`"):
        draw_curves(tmp_path / "a.svg", [])


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="TensorBoard is installed")
def test_without_tensorboard_the_extra_is_named_before_training(small, tmp_path):
    told = []
    with pytest.raises(MissingExtraError, match=r"needs the package `tensorboard`: pip install 'gradaudit\[tensorboard\]'"):
        train(RECIPE, small, device="cpu", tensorboard=tmp_path / "log", on_epoch=told.append)
    assert told == []


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs TensorBoard")
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_has_the_curves(small, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = []
    train(RECIPE, small, device="cpu", test=small, tensorboard=tmp_path / "log", on_epoch=told.append)
    log = EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    assert [event.value for event in log.Scalars("loss")] == pytest.approx([epoch.loss for epoch in told])
    assert [(event.step, event.value) for event in log.Scalars("test accuracy")] == [
        (epoch.number, pytest.approx(epoch.accuracy)) for epoch in told
    ]
