"""The parts of `gpu.py`: each takes the settings and a list that it fills with rows, and goes on where it was stopped."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gradaudit as ga
from _catalogue import catalogue
from _record import Row
from gradaudit.diffusion.sheets import sample_sheet
from gradaudit.files import write_text
from gradaudit.instruments.counterfactual.measures import realism

ROOT = Path(__file__).parents[1]
# Fewer epochs than the recipes have, and a ResNet-18 whose fp16 weights are within 16 MB.
CIFAR10 = {"epochs": 10, "network": "resnet18(width=48)"}
SMOOTH = {"network": "resnet18(width=48, activation=silu)"}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "cifar10/standard": CIFAR10,
    "cifar10/l2-0.5": CIFAR10,
    "cifar10/linf-8": CIFAR10,
    "cifar10/gradient-penalty": CIFAR10 | SMOOTH,
    "cifar10/l2-0.25": CIFAR10,
    "cifar10/l2-1.0": CIFAR10,
    "mnist/standard": {},
    "mnist/l2-2": {},
    "mnist/linf-0.3": {},
    "mnist/gradient-penalty": {},
    "fashion-mnist/standard": {},
    "fashion-mnist/l2-1": {},
}
TINY = ("cifar10/standard", "cifar10/l2-0.5", "cifar10/gradient-penalty", "mnist/standard", "fashion-mnist/standard")
DENOISERS = {"cifar10": {"epochs": 60}, "fashion-mnist": {}, "mnist": {}}
RADII = {"mnist": ("linf", (0.1, 0.3)), "fashion-mnist": ("linf", (0.05, 0.1)), "cifar10": ("linf", (2 / 255, 8 / 255))}
LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
LEARNER = ga.Recipe(network="resnet18", epochs=8, batch_size=512, learning_rate=0.2)


@dataclass(frozen=True)
class Settings:
    """Where and how large; fields named as the options of `gpu.py`."""

    device: str
    data_dir: str | None
    out: Path
    store: Path
    tiny: bool

    def images(self, name: str) -> tuple[ga.ImageSet, ga.ImageSet]:
        """Training and test images; in a dry run a few digits in the shape of the data."""
        if not self.tiny:
            return ga.load_images(name, folder=self.data_dir)
        train, test = (half.sample(count) for half, count in zip(ga.load_images("mnist5k"), (100, 40), strict=True))
        return (coloured(train), coloured(test)) if name == "cifar10" else (train, test)

    def recipe(self, name: str) -> ga.Recipe:
        """A classifier's recipe."""
        small = {"epochs": 1, "network": "convnet(width=4, activation=silu)"} if self.tiny else {}
        return ga.named_recipe(name, **CLASSIFIERS[name] | small)

    def classifier(self, name: str) -> nn.Module:
        """One that the part `classifiers` has made."""
        path = self.out / "classifiers" / f"{name}.safetensors"
        if not path.exists():
            raise SystemExit(f"needs {path.name} of {path.parent.name}: run the part classifiers first")
        return ga.load_classifier(path, device=self.device)


def coloured(images: ga.ImageSet) -> ga.ImageSet:
    """Digits as 3x32x32."""
    pixels = nn.functional.pad(images.images, (2, 2, 2, 2)).expand(-1, 3, -1, -1).contiguous()
    return ga.ImageSet(pixels, images.labels, images.classes)


def works(settings: Settings, rows: list[Row]) -> None:
    """Does it run at all: the demo, the tests for a GPU, peak memory, bf16 against fp32."""
    files = sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text(encoding="utf-8"))
    tested = subprocess.run([sys.executable, "-m", "pytest", "-m", "gpu", "-rs", *files], cwd=ROOT)
    rows.append(Row("tests for a GPU: exit status", tested.returncode, at_most=0))
    if settings.tiny:
        rows.append(Row("demo: exit status", why="left out of a dry run"))
    else:
        demo = [sys.executable, "-m", "gradaudit.cli", "demo", "--out", str(settings.store / "demo")]
        rows.append(Row("demo: exit status", subprocess.run(demo).returncode, at_most=0))
    train, test = settings.images("mnist")
    for network in ("mlp", "convnet"):
        reached = {}
        for precision in ("fp32", "bf16"):
            recipe = ga.Recipe(network=network, epochs=1 if settings.tiny else 4, precision=precision)
            if settings.device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            learner = ga.train(recipe, train, device=settings.device)
            reached[precision] = ga.measure_accuracy(learner, test, device=settings.device)
            rows.append(peak_memory(f"{network}, {precision}: peak memory of a fit", settings.device))
        apart = abs(reached["fp32"] - reached["bf16"])
        rows.append(Row(f"{network}: accuracies in fp32 and in bf16 differ by", apart, at_most=1.0 if settings.tiny else 0.01))


def peak_memory(what: str, device: str) -> Row:
    """Of torch on the GPU since it was reset."""
    if device == "cpu":
        return Row(what, why="no GPU")
    return Row(what, torch.cuda.max_memory_allocated() / 1e6, "MB")


def classifiers(settings: Settings, rows: list[Row]) -> None:
    """Standard, adversarial and gradient-penalty classifiers: clean, PGD and AutoAttack accuracy; weights for the zoo."""
    for name in TINY if settings.tiny else CLASSIFIERS:
        data = name.partition("/")[0]
        train, test = settings.images(data)
        recipe, path = settings.recipe(name), settings.out / "classifiers" / f"{name}.safetensors"
        if not path.exists():
            made = ga.train_once(recipe, train, store=settings.store, device=settings.device, show_progress=True)
            for weight in made.parameters():  # not the normalisation, which is to stay what its name says
                weight.data = weight.data.half()
            path.parent.mkdir(parents=True, exist_ok=True)
            ga.save_trained(path, made, recipe, train)
        classifier = settings.classifier(name).float()
        clean = ga.measure_accuracy(classifier, test, device=settings.device)
        rows.append(Row(f"{name}: clean accuracy, {len(test):,} images", clean))
        rows += attacked(name, classifier, test.sample(20 if settings.tiny else 1000), settings)


def attacked(name: str, classifier: nn.Module, images: ga.ImageSet, settings: Settings) -> Iterator[Row]:
    """Accuracy under PGD and AutoAttack."""
    norm, eps = RADII[name.partition("/")[0]]
    strong = importlib.util.find_spec("pyautoattack") is not None and not settings.tiny
    attacks, steps = ["pgd", *(["autoattack"] if strong else [])], 2 if settings.tiny else 20
    options = {"steps": steps, "store": settings.store, "device": settings.device}
    result = ga.robustness(classifier, images, norm=norm, eps=eps, attack=attacks, **options)
    result.save(settings.out / "robustness" / name)
    for row in result.table.to_dict("records"):
        yield Row(f"{name}: {row['attack']}, {norm} {row['eps']:.3g}, {len(images):,} images", row["accuracy"])
    if not strong:
        yield Row(f"{name}: autoattack", why="left out of a dry run" if settings.tiny else "pyautoattack is not installed")


def denoisers(settings: Settings, rows: list[Row]) -> None:
    """Class-conditional denoisers, their samples, and the distance of these from test images in a classifier's features."""
    for name, fields in DENOISERS.items():
        train, test = settings.images(name)
        path = settings.out / "denoisers" / f"{name}.safetensors"
        if not path.exists():
            small = {"epochs": 1, "network": "unet(widths=[8], layers=1, patch=4)"} if settings.tiny else {}
            checkpoint = settings.store / f"denoiser-{name}.checkpoint"
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            recipe = ga.denoiser_recipe(name, **fields | small)
            made = ga.train_denoiser(recipe, train, device=settings.device, checkpoint=checkpoint, show_progress=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            ga.save_denoiser(path, made)
        denoiser = ga.load_denoiser(path).to(settings.device)
        sample_sheet(path.with_suffix(".png"), denoiser, columns=2 if settings.tiny else 8)
        rows.append(distance(name, denoiser, test, settings))


def distance(name: str, denoiser: ga.Denoiser, test: ga.ImageSet, settings: Settings) -> Row:
    """The Fréchet distance of as many samples as test images, of the same classes, in the standard classifier's features."""
    real = test.sample(min(len(test), 5000))
    steps = 2 if settings.tiny else 18
    drawn = ga.sample(denoiser, len(real), labels=real.labels, steps=steps, device=settings.device)
    networks = {"standard": settings.classifier(f"{name}/standard").float().cpu()}
    table, _ = realism(drawn, drawn, real.floats(), networks=networks, resamples=2)
    value = table.set_index("measure").loc["frechet_standard", "value"]
    return Row(f"{name}: Fréchet distance of {len(real):,} samples in the standard classifier's features", float(value))


def diffroar(settings: Settings, rows: list[Row]) -> None:
    """DiffROAR of CIFAR-10 at the papers' scale: ResNet-18 learners, levels from 5 to 90 %, 3 seeds, standard against robust."""
    train, test = settings.images("cifar10")
    learner = LEARNER.with_(network="convnet(width=4)", epochs=1) if settings.tiny else LEARNER
    levels, seeds = (LEVELS[:2], 1) if settings.tiny else (LEVELS, 3)
    for name in ("standard", "l2-0.5"):
        result = ga.diffroar(
            settings.classifier(f"cifar10/{name}").float(),
            train,
            test,
            evaluate="retrain",
            learner=learner,
            levels=levels,
            seeds=seeds,
            controls=(),
            features="pixels",
            fill="mean",
            mask_only=False,
            store=settings.store,
            device=settings.device,
            show_progress=True,
        )
        result.save(settings.out / "diffroar" / name)
        for row in result.summary.to_dict("records"):
            rows.append(Row(f"{name}, {row['level']:.0%}: DiffROAR", row["mean"]))


def guided_step(settings: Settings, rows: list[Row]) -> None:
    """A guided step against a straightforward one."""
    known = catalogue()["guided_step"]
    command = [sys.executable, str(known.path), "--device", settings.device, "--results", str(settings.out)]
    ran = subprocess.run(command + (["--short"] if settings.tiny else []), stdout=subprocess.PIPE, text=True)
    print(ran.stdout, flush=True)
    write_text(settings.out / "guided_step.txt", ran.stdout)
    rows.append(Row("guided_step: exit status, figures in guided_step.txt", ran.returncode, at_most=0))


def counterfactuals(settings: Settings, rows: list[Row]) -> None:
    """Counterfactuals of CIFAR-10 with those denoisers: a gallery, and what is measured of them."""
    _, test = settings.images("cifar10")
    denoiser = settings.out / "denoisers" / "cifar10.safetensors"
    if not denoiser.exists():
        raise SystemExit("needs cifar10.safetensors of denoisers: run the part denoisers first")
    named = {name: settings.classifier(f"cifar10/{name}").float() for name in ("standard", "l2-0.5", "gradient-penalty")}
    result = ga.counterfactual(
        named["standard"],
        test.sample(4 if settings.tiny else 40),
        "second",
        ga.load_denoiser(denoiser).to(settings.device),
        robust=named["l2-0.5"],
        method=["dvce(steps=4)" if settings.tiny else "dvce", "apgd"],
        oracles={"gradient-penalty": named["gradient-penalty"]},
        store=settings.store,
        device=settings.device,
        show_progress=True,
    )
    folder = result.save(settings.out / "counterfactuals")
    result.gallery().savefig(folder / "gallery.png", dpi=100)
    for row in result.summary.to_dict("records"):
        if row["value"] == row["value"]:  # some measures say nothing of some methods
            rows.append(Row(f"{row.get('method', 'dvce')}: {row['measure']}", row["value"]))


PARTS: dict[str, Callable[[Settings, list[Row]], None]] = {
    part.__name__: part for part in (works, classifiers, denoisers, diffroar, guided_step, counterfactuals)
}
