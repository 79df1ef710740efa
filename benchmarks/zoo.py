"""The recipes of the package's zoo: run this to make the files of `src/gradaudit/zoo/` again.

Full MNIST: a standard and a robust classifier (two convolutions with SiLU, adversarial training of L2 radius 2), which take about
10 minutes on 2 cores; the same two of digits beside null blocks, for leakage, likewise; and a class-conditional denoiser, about
40 on one core that multiplies bf16. Each file carries its recipe, the fingerprint of its data, versions and what was measured of
it. A stopped run continues.
Run: `python benchmarks/zoo.py --data-dir DATA [--only classifiers|denoisers]`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

import gradaudit as ga
from gradaudit.devices import one_thread
from gradaudit.instruments.sweep import BASE  # so that they are classifiers of the sweeps, and found in their store
from gradaudit.results import versions
from gradaudit.zoo import FOLDER

ROBUST = BASE.with_(objective="adversarial(norm=l2, eps=2.0, steps=7)", ramp=0.3)
DATA = {"mnist": "mnist", "mnist-blocks": "blocks(of=mnist)"}
RECIPES = {f"{data}/{name}": recipe for data in DATA for name, recipe in (("standard", BASE), ("robust", ROBUST))}
SIGMA = (0.05, 0.1, 0.25, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/")
    parser.add_argument("--only", choices=("classifiers", "denoisers"))
    parser.add_argument("--denoiser", type=Path, help="made by gradaudit train-denoiser mnist, instead of training it here")
    parser.add_argument("--store", help="folder for finished work; the user's own unless given")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    images = {name: ga.load_images(data, folder=arguments.data_dir) for name, data in DATA.items()}
    if arguments.only != "denoisers":
        for name, recipe in RECIPES.items():
            make_classifier(name, recipe, *images[name.partition("/")[0]], arguments)
    if arguments.only != "classifiers":
        make_denoiser("mnist", *images["mnist"], arguments)


def make_classifier(name: str, recipe: ga.Recipe, train: ga.ImageSet, test: ga.ImageSet, arguments: argparse.Namespace) -> None:
    classifier = ga.train_once(recipe, train, store=arguments.store, device="cpu", show_progress=True)
    classifier = classifier.half().float()  # what is kept in fp16 is what is measured
    attacked = ga.robustness(classifier, test[:1000], norm="l2", eps=(1.0, 2.0), store=arguments.store, device="cpu").table
    measured = {
        "accuracy": ga.measure_accuracy(classifier, test, device="cpu"),
        "pgd_l2": {f"{eps:g}": share for eps, share in zip(attacked["eps"], attacked["accuracy"], strict=True)},
    }
    if test.signal_mask is not None:
        leaked = ga.leakage(classifier, test[:1000], device="cpu").rows("null_top_0.1")
        measured["leakage"] = float(leaked.loc["logit_gradient", "value"])
    path = ga.save_classifier(
        arguments.out / "classifiers" / f"{name}.safetensors",
        classifier.half(),
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


def make_denoiser(name: str, train: ga.ImageSet, test: ga.ImageSet, arguments: argparse.Namespace) -> None:
    path = arguments.out / "denoisers" / f"{name}.safetensors"
    if arguments.denoiser:
        denoiser = ga.load_denoiser(arguments.denoiser)
    else:
        checkpoint = path.with_suffix(".checkpoint")
        with one_thread():
            denoiser = ga.train_denoiser(ga.denoiser_recipe(name), train, checkpoint=checkpoint, device="cpu", show_progress=True)
    errors = ga.denoising_error(denoiser, test[:500], sigma=SIGMA, device="cpu")
    ga.save_denoiser(path, denoiser, measured={"denoising_error": errors.to_dict("records")})
    judge = ga.load_classifier(arguments.out / "classifiers" / f"{name}" / "standard.safetensors")
    labels = torch.arange(10).repeat(10)
    for guidance in (1.0, 1.5):
        drawn = ga.sample(denoiser, 100, labels=labels, guidance=guidance, device="cpu")
        with torch.no_grad():
            right = int((judge(drawn).argmax(dim=1) == labels).sum())
        print(f"{name}, guidance {guidance:g}: {right} of 100 samples are recognised as the class asked for by zoo:{name}/standard")
    print(errors.to_string(index=False))
    print(f"  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
