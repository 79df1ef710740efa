"""Instruments as metrics of Quantus, and its metrics beside our controls; needs `pip install 'gradaudit[quantus]'`."""

import warnings

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.intervals import mean_interval

quantus = pytest.importorskip("quantus", reason="Quantus is not installed: pip install 'gradaudit[quantus]'")
peers = pytest.importorskip("gradaudit.peers.quantus")

pytestmark = pytest.mark.filterwarnings("ignore")  # Quantus' own
CPU = {"device": "cpu"}


@pytest.fixture(scope="module", name="digits")
def digits_fixture():
    """A classifier of digits, training images, and test images whose signal mask is their left half."""
    train, test = ga.load_images("mnist5k")
    classifier = ga.load_classifier("zoo:mnist/robust")
    few = test.sample(40)
    mask = torch.zeros(len(few), 28, 28, dtype=torch.bool)
    mask[:, :, :14] = True
    return classifier, train.sample(400), ga.ImageSet(few.images, few.labels, few.classes, mask)


def handed(metric, digits, attribution="logit_gradient", **call):
    """What the metric says when Quantus is given our explanations."""
    classifier, _, test = digits
    scores = ga.attribute_all(classifier, test, attribution, **CPU).numpy()
    mask = test.signal_mask[:, None].numpy()
    return metric(classifier, test.floats().numpy(), test.labels.numpy(), a_batch=scores, s_batch=mask, **CPU, **call)


def test_fidelity_is_the_instruments(digits):
    classifier, _, test = digits
    found = handed(peers.Fidelity(levels=(0.1, 0.3), fill="mean"), digits)
    plain = ga.ImageSet(test.images, test.labels, test.classes)
    result = ga.fidelity(classifier, plain, levels=(0.1, 0.3), fill="mean", controls=(), patches=0, **CPU)
    assert len(found) == len(test)
    assert np.mean(found) == pytest.approx(result.table["fidelity"].mean(), abs=1e-12)
    assert len(set(found)) > 1


def test_contrast_is_the_instruments(digits):
    classifier, train, test = digits
    found = handed(peers.Contrast(train, neighbours=5), digits)
    result = ga.contrast(classifier, train, test, neighbours=5, controls=(), **CPU)
    assert found == pytest.approx(result.per_image("logit_gradient")["magnitudes"].tolist(), abs=1e-6)


def test_leakage_is_the_instruments(digits):
    classifier, _, test = digits
    found = handed(peers.Leakage(), digits)
    result = ga.leakage(classifier, test, controls=(), **CPU)
    assert found == pytest.approx(result.per_image("logit_gradient")["null_mass"].tolist(), abs=1e-6)


def test_they_run_in_quantus_evaluate_with_our_explanations(digits, capsys):
    classifier, train, test = digits
    metrics = {"fidelity": peers.Fidelity(fill="mean"), "contrast": peers.Contrast(train)}
    metrics["estimate"] = quantus.FaithfulnessEstimate(features_in_step=28, disable_warnings=True)
    explained = {name: peers.explanation(name) for name in ("logit_gradient", "integrated_gradients")}
    found = quantus.evaluate(
        metrics=metrics,
        xai_methods=explained,
        model=classifier.eval(),
        x_batch=test.floats().numpy(),
        y_batch=test.labels.numpy(),
        explain_func_kwargs={},
        agg_func=np.mean,
        call_kwargs={"cpu": CPU},
    )
    assert "Failed" not in capsys.readouterr().out
    for name in explained:
        assert found[name]["fidelity"] == pytest.approx(np.mean(handed(metrics["fidelity"], digits, name)), abs=1e-12)
        assert found[name]["contrast"] == pytest.approx(np.mean(handed(metrics["contrast"], digits, name)), abs=1e-6)
        assert np.isfinite(found[name]["estimate"])


def test_its_metrics_have_our_controls_beside(digits):
    classifier, _, test = digits
    metric = quantus.FaithfulnessEstimate(features_in_step=28, disable_warnings=True)
    table = peers.measure(metric, classifier, test, ["logit_gradient", {"own": "integrated_gradients"}], batch_size=40, **CPU)
    assert table["attribution"].tolist() == ["logit_gradient", "own", "random", "edges"]
    assert table["control"].tolist() == [False, False, True, True]
    alone = metric(
        classifier.eval(),
        test.floats().numpy(),
        test.labels.numpy(),
        a_batch=ga.attribute_all(classifier, test, "logit_gradient", **CPU).numpy(),
        device="cpu",
        batch_size=40,
    )
    assert table.iloc[0][["value", "low", "high"]].tolist() == pytest.approx(mean_interval(np.array(alone)), abs=1e-9)


def test_a_metric_that_explains_again_is_given_the_attribution(digits):
    classifier, _, test = digits
    metric = quantus.MaxSensitivity(nr_samples=2, lower_bound=0.05, disable_warnings=True)
    table = peers.measure(metric, classifier, test[:4], "logit_gradient", controls=("edges",), **CPU)
    assert table["value"].gt(0).all()


def test_the_classifier_is_left_as_it_was(digits):
    _, _, test = digits
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(784, 10)).train()
    peers.measure(peers.Leakage(), classifier, test, controls=("edges",), **CPU)
    assert all(module.training for module in classifier.modules())


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((2, 1, 8, 8), 1.5), r"`x_batch` \(=\(1.5, 1.5\)\) must be floats in \[0, 1\], multiples of 1/255.*normalised"),
        (np.full((2, 1, 8, 8), 0.5 / 255), "multiples of 1/255"),
        (np.full((2, 1, 8, 8), -1.0), "multiples of 1/255"),
    ],
)
def test_images_that_are_normalised_outside_the_classifier_are_refused(pixels, said):
    with pytest.raises(ga.InputError, match=said):
        peers.Fidelity()(torch.nn.Flatten(), pixels, np.zeros(2, int), a_batch=np.ones((2, 1, 8, 8)))


def test_what_is_no_number_for_each_image_is_refused(digits):
    classifier, _, test = digits
    curves = quantus.PixelFlipping(28, disable_warnings=True)
    with pytest.raises(ga.InputError, match=r"`metric` \(='PixelFlipping'\).*one an image, not \(40, 28\)"):
        peers.measure(curves, classifier, test, controls=(), **CPU)
    with pytest.raises(ga.InputError, match=r"`a_batch`.*explain_func"):
        peers.Leakage()(classifier, test.floats().numpy(), test.labels.numpy())
    with pytest.raises(ga.InputError, match=r"`attribution`.*not scores"):
        peers.explanation(np.zeros((1, 1, 8, 8)))


def test_nothing_but_the_module_needs_quantus():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import gradaudit.peers  # noqa: F401
