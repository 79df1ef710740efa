"""Question: which of two published directions hold on CIFAR-10 with a ResNet-20 that others trained (docs/fidelity.md)?

IDSDS (Hesse, Schaub-Meyer and Roth, NeurIPS 2024): raw scores foretell the deletion of single patches better than absolute ones,
and integrated gradients better than the gradient; of the classifier itself, and of a copy fine-tuned under random removals. ROAD
(Rong et al., ICML 2022): under noisy linear imputation, not under a constant, both orders of removal rank attributions alike.
Intervals are over 500 test images: t for differences, which are paired, and a bootstrap for the agreement of the orders.

Run: `python benchmarks/fidelity_directions.py --data-dir DATA --weights-dir WEIGHTS`. A quarter of an hour on one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from scipy import stats
from torch import Tensor, nn

import gradaudit as ga
from _record import table_parser
from gradaudit.attributions import attribute_all
from gradaudit.files import write_text
from gradaudit.intervals import mean_interval
from gradaudit.packing import unpack
from gradaudit.results import versions

LEVELS = (0.1, 0.3, 0.6)
FILLS = ("imputation", "mean")
STEPS = 10  # of integrated gradients
DRAWS = 2000  # of the bootstrap
METHODS: dict[str, Any] = {
    "gradient": "logit_gradient",
    "smoothgrad": "smoothgrad(samples=5)",
    "smoothgrad, squared": "smoothgrad(samples=5, squared=true)",
    "IG, black": f"integrated_gradients(steps={STEPS})",
    "Grad-CAM": "captum(method=LayerGradCam)",
    "random": "random",
    "blurred_random": "blurred_random",
    "edges": "edges",
}
SIGNED = ("gradient", "input x gradient", "IG, black", "IG, uniform")


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True, workers=None)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--train-images", type=int, default=2000)
    arguments = parser.parse_args()
    train, test = ga.load_images("cifar10", folder=arguments.data_dir)
    train, test = train.sample(arguments.train_images, 0), test.sample(arguments.images, 0)
    file = Path(arguments.weights_dir) / "cifar10_resnet20.th"
    classifier = ga.load_classifier("resnet20", file, normalisation="imagenet", input_shape=(3, 32, 32))
    scores = {name: attribute_all(classifier, test, one, device="cpu") for name, one in METHODS.items()}
    scores |= {"input x gradient": scores["gradient"] * test.floats(), "IG, uniform": uniform(classifier, test)}
    common = {"controls": (), "reference": train, "store": arguments.store, "device": "cpu", "show_progress": True}
    found: dict[str, Any] = {"images": len(test), "train_images": len(train), "versions": versions(), "orders": {}, "patches": {}}
    both = ga.fidelity(classifier, test, scores, levels=LEVELS, fill=[*FILLS], patches=0, **common)
    found["accuracy"] = both.accuracy
    found["orders"] = {fill: agreement(both, fill) for fill in FILLS}
    kept(arguments.out, found)
    signs = {f"{name}{kind}": one for name in SIGNED for kind, one in (("", scores[name]), (", absolute", scores[name].abs()))}
    for asked, options in {
        "classifier": {"fill": [*FILLS]},
        "fine-tuned copy": {"fill": "mean", "finetuned": "evaluators/fine-tune(epochs=2)"},
    }.items():
        result = ga.fidelity(classifier, test, signs, levels=0.1, **common, **options)
        found["patches"] |= {f"{asked}, {fill}": dict(patched(result, fill)) for fill in result.fills}
        found["accuracy of copies"] = {fill: float(unpack(one["right"]).mean()) for fill, one in result.details["copies"].items()}
        kept(arguments.out, found)
    print(json.dumps(found, indent=1))


def uniform(classifier: nn.Module, images: ga.ImageSet) -> Tensor:
    """Integrated gradients from an image of uniform noise."""
    pixels = images.floats()
    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0))
    method, parts = IntegratedGradients(classifier.eval()), []
    for which in torch.arange(len(images)).split(50):
        given = {"baselines": noise[which], "target": images.labels[which], "n_steps": STEPS, "method": "gausslegendre"}
        parts.append(method.attribute(pixels[which], internal_batch_size=200, **given).detach().float())
    return torch.cat(parts)


def agreement(result: ga.FidelityResult, fill: str) -> dict[str, Any]:
    """Spearman's correlation between the orders' rankings of the attributions, with a percentile interval over images."""
    right = np.stack([unpack(result.details["read"][fill][name]["right"]).mean(axis=0) for name in result.audited])
    rng = np.random.default_rng(0)
    drawn = [spearman(right[:, :, rng.integers(0, right.shape[2], right.shape[2])]) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "spearman": spearman(right),
        "low": float(low),
        "high": float(high),
        "least relevant first": dict(zip(result.audited, right[:, 0].mean(axis=1).tolist(), strict=True)),
        "most relevant first": dict(zip(result.audited, right[:, 1].mean(axis=1).tolist(), strict=True)),
    }


def spearman(right: np.ndarray) -> float:
    """Of (attributions, orders, images): the best has the highest accuracy in the one order and the lowest in the other."""
    kept_, removed = right.mean(axis=2).T
    return float(stats.spearmanr(kept_, -removed).statistic)


def patched(result: ga.FidelityResult, fill: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Each ranking's Spearman's correlation within an image; raw less absolute; and integrated gradients less the gradient."""
    each = {name: unpack(one) for name, one in result.details["patches"][fill].items()}
    for name, own in each.items():
        yield name, interval(own)
    for name in SIGNED:
        yield f"{name}: raw - absolute", interval(each[name] - each[f"{name}, absolute"])
    for name in SIGNED[2:]:
        yield f"{name} - gradient", interval(each[name] - each["gradient"])


def interval(values: np.ndarray) -> dict[str, float]:
    """Mean and t interval of those that are there."""
    return dict(zip(("mean", "low", "high"), mean_interval(values[~np.isnan(values)]), strict=True))


def kept(folder: Path, found: Mapping[str, Any]) -> None:
    """Write what there is so far."""
    write_text(folder / "fidelity_directions.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
