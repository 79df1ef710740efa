"""The recipes of the package's zoo: run this to make the files of `src/gradaudit/zoo/` again.

Full MNIST: a standard and a robust classifier (two convolutions with SiLU, adversarial training of L2 radius 2), which take about
10 minutes on 2 cores; the same two of digits beside null blocks, for leakage, likewise; and a class-conditional denoiser, about
40 on one core that multiplies bf16. Full CIFAR-10, as `cifar_sheets.py` writes it: a ResNet-18 of a quarter of the width, standard,
trained against attacks (L2 radius 0.5) and with a penalty on its gradient, an hour and a half on one such core; and a
class-conditional denoiser, as long again. Each file carries its recipe, the fingerprint of its data, versions and what was measured
of it. A stopped run continues.
Run: `python benchmarks/zoo.py --data-dir DATA [--only classifiers|denoisers] [--names cifar10/penalty] [--cifar10 FILE.npz]`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gradaudit as ga
from gradaudit.devices import one_thread
from gradaudit.instruments.counterfactual.measures import realism
from gradaudit.instruments.sweep import BASE  # so that they are classifiers of the sweeps, and found in their store
from gradaudit.results import versions
from gradaudit.zoo import FOLDER

ROBUST = BASE.with_(objective="adversarial(norm=l2, eps=2.0, steps=7)", ramp=0.3)
NARROW: dict[str, Any] = {"network": "resnet18(width=16, activation=silu)", "ema": 0.99, "precision": "bf16"}
PENALTY = "gradient_penalty(strength=0.5)"
RECIPES = {
    "mnist/standard": BASE,
    "mnist/robust": ROBUST,
    "mnist-blocks/standard": BASE,
    "mnist-blocks/robust": ROBUST,
    "cifar10/standard": ga.named_recipe("cifar10/standard", epochs=10, **NARROW),
    "cifar10/penalty": ga.named_recipe("cifar10/standard", epochs=10, ramp=0.3, objective=PENALTY, **NARROW),
    "cifar10/robust": ga.named_recipe("cifar10/l2-0.5", epochs=6, objective="adversarial(norm=l2, eps=0.5, steps=2)", **NARROW),
}
SMALL = {"network": "unet(widths=[64,128,128], layers=1, patch=2)", "epochs": 20, "batch_size": 64, "precision": "bf16"}
DENOISERS: dict[str, dict[str, Any]] = {"mnist": {}, "cifar10": SMALL}
SIGMA = (0.05, 0.1, 0.25, 0.5, 1.0)
DRAWN = 2000  # samples whose distance from the test images is measured


@dataclass(frozen=True)
class Asked:
    """Which images, how hard they are attacked (L2), and how many under AutoAttack: none where PGD says enough."""

    source: str
    radii: Sequence[float]
    auto: int = 0


DATA = {
    "mnist": Asked("mnist", (1.0, 2.0)),
    "mnist-blocks": Asked("blocks(of=mnist)", (1.0, 2.0)),
    "cifar10": Asked("cifar10", (0.25, 0.5), auto=100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/")
    parser.add_argument("--cifar10", help="CIFAR-10 as cifar_sheets.py writes it, where --data-dir has none that load_images reads")
    parser.add_argument("--only", choices=("classifiers", "denoisers"))
    parser.add_argument("--of", choices=[*DATA], nargs="+", default=[*DATA], help="data sets; all unless given")
    parser.add_argument("--names", choices=[*RECIPES], nargs="+", default=[*RECIPES], help="classifiers; all unless given")
    parser.add_argument(
        "--made", type=Path, help="NAME.safetensors of gradaudit train and train-denoiser, instead of training here"
    )
    parser.add_argument("--store", help="folder for finished work; the user's own unless given")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    for data in arguments.of:
        given = arguments.cifar10 if data == "cifar10" else None
        train, test = ga.load_images(given or DATA[data].source, folder=arguments.data_dir)
        for name, recipe in RECIPES.items():
            if name.startswith(f"{data}/") and name in arguments.names and arguments.only != "denoisers":
                make_classifier(name, recipe, train, test, arguments)
        if data in DENOISERS and arguments.only != "classifiers":
            make_denoiser(data, train, test, arguments)


def make_classifier(name: str, recipe: ga.Recipe, train: ga.ImageSet, test: ga.ImageSet, arguments: argparse.Namespace) -> None:
    classifier = made(name, recipe, train, arguments)
    measured = figures(rounded(classifier).float(), test, DATA[name.partition("/")[0]], arguments.store)
    path = ga.save_classifier(
        arguments.out / "classifiers" / f"{name}.safetensors",
        rounded(classifier),
        network=recipe.network,
        input_shape=train.shape,
        classes=len(train.classes),
        normalisation=recipe.normalisation,
        metadata={
            "recipe": recipe.model_dump(),
            "data_fingerprint": train.fingerprint,
            "class_names": list(train.classes),
            "versions": versions(),
            **measured,
        },
    )
    print(f"{name}: {measured}; {path.stat().st_size:,} bytes")


def made(name: str, recipe: ga.Recipe, train: ga.ImageSet, arguments: argparse.Namespace) -> nn.Module:
    """As `gradaudit train` left it, where that is given; else trained here."""
    if arguments.made:
        return ga.load_classifier(arguments.made / "classifiers" / f"{name}.safetensors")
    return ga.train_once(recipe, train, store=arguments.store, device="cpu", show_progress=True)


def rounded(classifier: nn.Module) -> nn.Module:
    """Its weights in fp16; not its normalisation, which is to stay what its name says."""
    for weight in classifier.parameters():
        weight.data = weight.data.half()
    return classifier


def figures(classifier: nn.Module, test: ga.ImageSet, asked: Asked, store: str | None) -> dict[str, Any]:
    """What is measured of a classifier."""

    def attacked(images: ga.ImageSet, **options: Any) -> dict[str, float]:
        found = ga.robustness(classifier, images, norm="l2", eps=asked.radii, store=store, device="cpu", **options).table
        last = found[found["attack"] == found["attack"].iloc[-1]]
        return {f"{eps:g}": share for eps, share in zip(last["eps"], last["accuracy"], strict=True)}

    measured: dict[str, Any] = {"accuracy": ga.measure_accuracy(classifier, test, device="cpu"), "pgd_l2": attacked(test[:1000])}
    if asked.auto:
        measured["autoattack_l2"] = attacked(test[: asked.auto], attack=["pgd", "autoattack"])
    if test.signal_mask is not None:
        leaked = ga.leakage(classifier, test[:1000], device="cpu").rows("null_top_0.1")
        measured["leakage"] = float(leaked.loc["logit_gradient", "value"])
    return measured


def make_denoiser(name: str, train: ga.ImageSet, test: ga.ImageSet, arguments: argparse.Namespace) -> None:
    path = arguments.out / "denoisers" / f"{name}.safetensors"
    if arguments.made:
        denoiser = ga.load_denoiser(arguments.made / "denoisers" / f"{name}.safetensors")
    else:
        checkpoint = path.with_suffix(".checkpoint")
        recipe = ga.denoiser_recipe(name, **DENOISERS[name])
        with one_thread():
            denoiser = ga.train_denoiser(recipe, train, checkpoint=checkpoint, device="cpu", show_progress=True)
    errors = ga.denoising_error(denoiser, test[:500], sigma=SIGMA, device="cpu")
    measured: dict[str, Any] = {"denoising_error": errors.to_dict("records")}
    judge = ga.load_classifier(arguments.out / "classifiers" / f"{name}" / "standard.safetensors").float()
    real = test.sample(DRAWN)
    for guidance in (1.0, 1.5):
        drawn = ga.sample(denoiser, DRAWN, labels=real.labels, guidance=guidance, steps=18, device="cpu")
        with torch.no_grad():
            right = (judge(drawn).argmax(dim=1) == real.labels).double().mean()
        table, _ = realism(drawn, drawn, real.floats(), networks={"judge": judge}, resamples=2)
        distance = float(table.set_index("measure").loc["frechet_judge", "value"])
        measured[f"guidance {guidance:g}"] = {"recognised": float(right), "frechet": distance}
    floor, _ = realism(*2 * [train.sample(DRAWN).floats()], real.floats(), networks={"judge": judge}, resamples=2)
    measured["frechet_of_training_images"] = float(floor.set_index("measure").loc["frechet_judge", "value"])
    ga.save_denoiser(path, denoiser, measured=measured)
    print(f"{name}: {DRAWN} samples, judged by zoo:{name}/standard: {measured}; {path.stat().st_size:,} bytes")
    print(errors.to_string(index=False))


if __name__ == "__main__":
    main()
