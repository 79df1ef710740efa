"""The parts of `gpu.py`: each takes the settings, plans by their deadline, and notes its figures as they come."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

import gradaudit as ga
from _gpu_time import Deadline, affordable
from _record import Row, claim_of, record_of
from _timing import settle
from gpu_data import unpack
from gradaudit.diffusion.sheets import sample_sheet
from gradaudit.files import write_text
from gradaudit.instruments.counterfactual.measures import realism

Made = TypeVar("Made", nn.Module, ga.Denoiser)

ROOT = Path(__file__).parents[1]
# Fewer epochs and larger batches than the recipes have, for a run of minutes, and a ResNet-18 of which ten fit into the results.
CIFAR10 = {"epochs": 15, "batch_size": 256, "ema": 0.99, "network": "resnet18(width=32)"}
SMOOTH = CIFAR10 | {"network": "resnet18(width=32, activation=silu)"}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "cifar10/standard": CIFAR10,
    "cifar10/l2-0.5": CIFAR10,
    "cifar10/gradient-penalty": SMOOTH,
    "cifar10/linf-8": CIFAR10,
    "cifar10/l2-0.25": CIFAR10,
    "cifar10/l2-1.0": CIFAR10,
    "mnist/standard": {},
    "mnist/l2-2": {},
    "fashion-mnist/standard": {},
    "fashion-mnist/l2-1": {},
}
ZOO = 3  # of them that are made in any case
COSTS = {"standard": 1, "gradient-penalty": 2}  # of an epoch, roughly; adversarial ones 8
LONG_ENOUGH = 20.0  # seconds that must be left for another one
DENOISER = {"epochs": 60, "batch_size": 256, "ema": 0.995}
RADII = {"mnist": ("linf", (0.1, 0.3)), "fashion-mnist": ("linf", (0.05, 0.1)), "cifar10": ("linf", (2 / 255, 8 / 255))}
LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
TRIAL_STEPS = 8  # by which a training's epochs are planned


@dataclass(frozen=True)
class Settings:
    """Where, how large, and until when.

    Args:
        device: of torch.
        packed: the folder that gpu_data.py wrote.
        data_dir: of whole data sets, where none is packed.
        made: gets all that is kept.
        work: gets what is not.
        tiny: a dry run.
        deadline: by which the part is to end.
    """

    device: str
    packed: Path
    data_dir: str | None
    made: Path
    work: Path
    tiny: bool
    deadline: Deadline

    @property
    def store(self) -> Path:
        """For finished work."""
        return self.work / "store"

    @property
    def prefix(self) -> str:
        """Of the files of weights: those of a dry run are none of a run."""
        return "tiny-" if self.tiny else ""

    def images(self, name: str) -> tuple[ga.ImageSet, ga.ImageSet]:
        """Training and test images: packed, or whole, or digits in the shape of the data; in a dry run a few of these."""
        source = self.source(name)
        if source == "packed":
            return unpack(self.packed / name)
        if source == "whole":
            return ga.load_images(name, folder=self.data_dir)
        train, test = ga.load_images("mnist5k")
        if self.tiny:
            train, test = train.sample(100), test.sample(40)
        return (coloured(train), coloured(test)) if name == "cifar10" else (train, test)

    def source(self, name: str) -> str:
        """Where its images come from."""
        if self.tiny:
            return "digits"
        if (self.packed / name / "classes.txt").exists():
            return "packed"
        try:
            ga.load_images(name, folder=self.data_dir)
        except ga.InputError:
            return "digits"
        return "whole"

    def classifier(self, name: str, deadline: Deadline) -> tuple[nn.Module, str]:
        """It, and what is to be said of its training; made by the deadline unless it has been."""
        fields = CLASSIFIERS[name] | ({"epochs": 1, "network": "convnet(width=4, activation=silu)"} if self.tiny else {})
        recipe = ga.named_recipe(name, **fields)
        path = self.made / "classifiers" / f"{self.prefix}{name.replace('/', '-')}.safetensors"

        def make(epochs: int, images: ga.ImageSet) -> nn.Module:
            return ga.train(recipe.with_(epochs=epochs), images, device=self.device, show_progress=True)

        def save(made: nn.Module, epochs: int, images: ga.ImageSet) -> None:
            for weight in made.parameters():  # not the normalisation, which is to stay what its name says
                weight.data = weight.data.half()
            ga.save_trained(path, made, recipe.with_(epochs=epochs), images)

        said = self._made(path, name.partition("/")[0], make, save, (recipe.epochs, recipe.batch_size), deadline)
        return ga.load_classifier(path, device=self.device).float(), said

    def denoiser(self, deadline: Deadline) -> tuple[ga.Denoiser, str]:
        """CIFAR-10's, class-conditional, and what is to be said of its training; made by the deadline unless it has been."""
        small = {"epochs": 1, "network": "unet(widths=[8], layers=1, patch=4)"} if self.tiny else {}
        recipe = ga.denoiser_recipe("cifar10", **DENOISER | small)
        path = self.made / "denoisers" / f"{self.prefix}cifar10.safetensors"

        def make(epochs: int, images: ga.ImageSet) -> ga.Denoiser:
            shorter = ga.denoiser_recipe("cifar10", **DENOISER | small | {"epochs": epochs})
            return ga.train_denoiser(shorter, images, device=self.device, show_progress=True)

        def save(made: ga.Denoiser, epochs: int, images: ga.ImageSet) -> None:
            ga.save_denoiser(path, made)

        said = self._made(path, "cifar10", make, save, (recipe.epochs, recipe.batch_size), deadline)
        return ga.load_denoiser(path).to(self.device), said

    def _made(
        self,
        path: Path,
        data: str,
        make: Callable[[int, ga.ImageSet], Made],
        save: Callable[[Made, int, ga.ImageSet], None],
        wanted: tuple[int, int],
        deadline: Deadline,
    ) -> str:
        """Train and save it, with as many of the wanted epochs as the deadline allows; what is to be said of that, also later."""
        note, source = path.with_suffix(".json"), self.source(data)
        if not (path.exists() and note.exists() and json.loads(note.read_text(encoding="utf-8"))["data"] == source):
            train, _ = self.images(data)
            (most, batch), some = wanted, min(len(train), TRIAL_STEPS * wanted[1])
            for _ in range(2):  # the first is slow
                start = time.perf_counter()
                make(1, train.sample(some))
                settle()
                trial = time.perf_counter() - start
            an_epoch = trial * -(-len(train) // batch) / -(-some // batch)
            epochs = affordable(deadline.left, an_epoch, most)
            start = time.perf_counter()
            path.parent.mkdir(parents=True, exist_ok=True)
            save(make(epochs, train), epochs, train)
            said = {"epochs": epochs, "of": most, "images": len(train), "seconds": time.perf_counter() - start}
            write_text(note, json.dumps(said | {"data": source}))
        found = json.loads(note.read_text(encoding="utf-8"))
        shorter = f"{found['epochs']} of {found['of']} epochs"
        instead = ", digits in the place of the data" if found["data"] == "digits" else ""
        return f"{shorter}, {found['images']:,} images{instead}"


class Notes:
    """The figures of a part, kept at once as each comes.

    Args:
        part: its name.
        claim: or question.
        made: gets the record.
        short: a dry run.
    """

    def __init__(self, part: str, claim: str, made: Path, short: bool) -> None:
        self.part, self.claim, self.made, self.short = part, claim, made, short
        self.rows: list[Row] = []
        self.failed = False
        self.load, self.start = os.getloadavg()[0], time.perf_counter()

    def add(self, *rows: Row) -> None:
        """Keep them."""
        self.rows += rows
        spent = time.perf_counter() - self.start
        command = f"python benchmarks/gpu.py --parts {self.part} --out OUT"
        record = record_of(f"gpu_{self.part}", self.claim, tuple(self.rows), self.load, spent, self.short, command)
        record.save(self.made)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Work whose failure is noted, and hinders nothing else."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.failed = True
            self.add(Row(what, why=f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"))

    def shorter(self, what: str) -> None:
        """There was no time for it."""
        self.add(Row(what, why="no time was left"))


def do(part: str, settings: Settings) -> int:
    """The part's work, with its record; 1 where some of it failed."""
    notes = Notes(part, claim_of(PARTS[part].__doc__ or ""), settings.made, settings.tiny)
    with notes.attempt(part):
        PARTS[part](settings, notes)
    return 1 if notes.failed else 0


def coloured(images: ga.ImageSet) -> ga.ImageSet:
    """Digits as 3x32x32."""
    pixels = nn.functional.pad(images.images, (2, 2, 2, 2)).expand(-1, 3, -1, -1).contiguous()
    return ga.ImageSet(pixels, images.labels, images.classes)


def works(settings: Settings, notes: Notes) -> None:
    """Does it run: the tests for a GPU, peak memory, bf16 against fp32."""
    with notes.attempt("tests marked gpu"):
        notes.add(gpu_tests(settings))
    train, test = settings.images("mnist")
    for network in ("mlp", "convnet"):
        with notes.attempt(f"{network}: bf16 against fp32"):
            compare_precisions(network, train, test, settings, notes)


def gpu_tests(settings: Settings) -> Row:
    """Their exit status."""
    what = "tests marked gpu: exit status"
    lacking = [name for name in ("pytest", "hypothesis") if importlib.util.find_spec(name) is None]
    if lacking:
        return Row(what, why=f"{' and '.join(lacking)} not installed")
    files = sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu\n" in path.read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rA", *files]
    status = subprocess.run(command, cwd=ROOT, timeout=max(1.0, 0.7 * settings.deadline.left)).returncode
    return Row(f"{what}, {len(files)} files{' (skipped without a GPU)' if settings.device == 'cpu' else ''}", status, at_most=0)


def compare_precisions(network: str, train: ga.ImageSet, test: ga.ImageSet, settings: Settings, notes: Notes) -> None:
    """Accuracy, seconds and peak memory of a fit in either."""
    reached = {}
    for precision in ("fp32", "bf16"):
        recipe = ga.Recipe(network=network, epochs=1 if settings.tiny else 4, precision=precision)
        if settings.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        learner = ga.train(recipe, train, device=settings.device)
        settle()
        notes.add(Row(f"{network}, {precision}: a fit of {len(train):,} images", time.perf_counter() - start, "s"))
        reached[precision] = ga.measure_accuracy(learner, test, device=settings.device)
        if settings.device != "cpu":
            notes.add(Row(f"{network}, {precision}: peak memory", torch.cuda.max_memory_allocated() / 1e6, "MB"))
    apart = abs(reached["fp32"] - reached["bf16"])
    notes.add(Row(f"{network}: accuracies in fp32 and in bf16 differ by", apart, at_most=1.0 if settings.tiny else 0.01))


def rates(settings: Settings, notes: Notes) -> None:
    """How fast are evaluators and learners trained: against a plain loop and against retraining; several learners at once."""
    import _gpu_rates

    _gpu_rates.rates(settings, notes)


def adm_step(settings: Settings, notes: Notes) -> None:
    """How long is a guided step with the 256x256 ADM U-Net: exact against straightforward, fp32 and bf16, random weights."""
    import adm_memory

    problem = adm_memory.photograph(settings.tiny)
    ways = {"straightforward": adm_memory.straightforward, "exact": adm_memory.exact, "exact, activations kept": adm_memory.kept}
    for precision in ("fp32", "bf16"):
        images: dict[str, torch.Tensor] = {}
        seconds: dict[str, float] = {}
        for name, way in ways.items():
            what = f"{name}, {precision}: a step"
            if settings.deadline.left < 3 * max(seconds.values(), default=0.0):
                notes.shorter(what)
                continue
            with notes.attempt(what):
                images[name], seconds[name], peak = adm_memory.timed(way, problem, settings.device, precision)
                against = {} if name == "straightforward" or "straightforward" not in seconds else {"against": "straightforward"}
                ratio = {"ratio": seconds["straightforward"] / seconds[name]} if against else {}
                notes.add(Row(what, seconds[name], "s", **against, **ratio))  # type: ignore[arg-type]
                if peak is not None:
                    notes.add(Row(f"{name}, {precision}: peak memory", peak / 1e6, "MB"))
        if {"straightforward", "exact"} <= images.keys():
            apart = float((images["exact"].float() - images["straightforward"].float()).abs().max())
            bound = adm_memory.EQUAL if precision == "fp32" else None
            notes.add(Row(f"{precision}: images of exact and straightforward differ by", apart, at_most=bound))


def classifiers(settings: Settings, notes: Notes) -> None:
    """What zoo can be made: standard, adversarial and gradient-penalty classifiers, their clean, PGD and AutoAttack accuracy."""
    names = [*CLASSIFIERS]
    for place, name in enumerate(names):
        if place >= ZOO and (settings.tiny or settings.deadline.left < LONG_ENOUGH):
            notes.add(Row(", ".join(names[place:]), why="left out of a dry run" if settings.tiny else "no time was left"))
            break
        with notes.attempt(name):
            costs = [COSTS.get(one.partition("/")[2], 8) for one in names[place : max(ZOO, place + 1)]]
            classifier, said = settings.classifier(name, settings.deadline.share(0.85 * costs[0] / sum(costs)))
            _, test = settings.images(name.partition("/")[0])
            clean = ga.measure_accuracy(classifier, test, device=settings.device)
            notes.add(Row(f"{name} ({said}): clean accuracy, {len(test):,} images", clean))
            attacked(name, classifier, test.sample(min(len(test), 20 if settings.tiny else 1000)), settings, notes)


def attacked(name: str, classifier: nn.Module, images: ga.ImageSet, settings: Settings, notes: Notes) -> None:
    """Accuracy under PGD and, where it is installed, AutoAttack."""
    norm, eps = RADII[name.partition("/")[0]]
    strong = importlib.util.find_spec("pyautoattack") is not None and not settings.tiny
    attacks, steps = ["pgd", *(["autoattack"] if strong else [])], 2 if settings.tiny else 20
    options = {"steps": steps, "store": settings.store, "device": settings.device}
    result = ga.robustness(classifier, images, norm=norm, eps=eps, attack=attacks, **options)
    result.save(settings.made / "robustness" / name)
    for row in result.table.to_dict("records"):
        notes.add(Row(f"{name}: {row['attack']}, {norm} {row['eps']:.3g}, {len(images):,} images", row["accuracy"]))
    if not strong:
        notes.add(Row(f"{name}: autoattack", why="left out of a dry run" if settings.tiny else "pyautoattack is not installed"))


def denoiser(settings: Settings, notes: Notes) -> None:
    """How good a class-conditional denoiser of CIFAR-10 is made: samples, and their distance from test images in features."""
    made, said = settings.denoiser(settings.deadline.share(0.7))
    folder = settings.made / "denoisers"
    notes.add(Row(f"cifar10 ({said}): weights", sum(weight.numel() for weight in made.parameters())))
    with notes.attempt("cifar10: a sheet of samples"):
        sample_sheet(folder / "cifar10.png", made, columns=2 if settings.tiny else 8)
    with notes.attempt("cifar10: Fréchet distance"):
        _, test = settings.images("cifar10")
        classifier, known = settings.classifier("cifar10/standard", settings.deadline.share(0.5))
        real = test.sample(min(len(test), 2000))
        steps = 2 if settings.tiny else 18
        drawn = ga.sample(made, len(real), labels=real.labels, steps=steps, device=settings.device)
        table, _ = realism(drawn.cpu(), drawn.cpu(), real.floats(), networks={"standard": classifier.cpu()}, resamples=2)
        value = float(table.set_index("measure").loc["frechet_standard", "value"])
        notes.add(Row(f"cifar10: Fréchet distance of {len(real):,} samples in features of standard ({known})", value))


def diffroar(settings: Settings, notes: Notes) -> None:
    """What is DiffROAR of CIFAR-10's classifiers by retraining: as much of the papers' scale as there is time for."""
    train, test = settings.images("cifar10")
    named = {}
    for name in ("cifar10/standard", "cifar10/l2-0.5"):
        with notes.attempt(name):
            named[name] = settings.classifier(name, settings.deadline.share(0.2))
    learner = ga.named_recipe("learners/fast-convnet")
    if settings.tiny:
        learner = learner.with_(network="convnet(width=4)", epochs=1)
    for _ in range(2):  # the first is slow
        start = time.perf_counter()
        ga.train(learner, train, device=settings.device)
        settle()
        a_fit = time.perf_counter() - start
    fits = affordable(settings.deadline.left, 1.2 * a_fit, 10**6)
    levels, seeds = (LEVELS[:2], 1) if settings.tiny else plan_of_grid(fits, max(1, len(named)))
    notes.add(Row(f"a fit of {learner.network} on {len(train):,} images; {len(levels)} levels and {seeds} seeds", a_fit, "s"))
    for name, (classifier, said) in named.items():
        with notes.attempt(name):
            result = ga.diffroar(
                classifier,
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
            result.save(settings.made / "diffroar" / name.replace("/", "-"))
            for row in result.summary.to_dict("records"):
                notes.add(Row(f"{name} ({said}), {row['level']:.0%}: DiffROAR", row["mean"]))


def plan_of_grid(fits: int, classifiers: int) -> tuple[tuple[float, ...], int]:
    """Levels and seeds: as many seeds as 3, then as many levels as there are, for two sides of each."""
    each = max(1, fits // (2 * classifiers))
    seeds = max(1, min(3, each))
    chosen = max(1, min(len(LEVELS), each // seeds))
    order = (1, 3, 5, 0, 6, 2, 4)  # few levels are to lie apart
    return tuple(sorted(LEVELS[place] for place in order[:chosen])), seeds


def counterfactuals(settings: Settings, notes: Notes) -> None:
    """What do counterfactuals of CIFAR-10 look like with such a denoiser: a gallery, and what is measured of them."""
    _, test = settings.images("cifar10")
    made, said = settings.denoiser(settings.deadline.share(0.3))
    names = ("standard", "l2-0.5", "gradient-penalty")
    named = {name: settings.classifier(f"cifar10/{name}", settings.deadline.share(0.2)) for name in names}
    notes.add(*(Row(f"denoiser ({said})", 1), *(Row(f"{name} ({how})", 1) for name, (_, how) in named.items())))
    networks = {name: network for name, (network, _) in named.items()}

    def explained(images: ga.ImageSet) -> Any:
        return ga.counterfactual(
            networks["standard"],
            images,
            "second",
            made,
            robust=networks["l2-0.5"],
            method=["dvce(steps=4)" if settings.tiny else "dvce", "apgd"],
            oracles={"gradient-penalty": networks["gradient-penalty"]},
            store=settings.store,
            device=settings.device,
            show_progress=True,
        )

    count = 4
    if not settings.tiny:
        some = 8
        start = time.perf_counter()
        explained(test[:some])
        count = affordable(settings.deadline.left, (time.perf_counter() - start) / some, 64, some)
    start = time.perf_counter()
    result = explained(test.sample(count))
    notes.add(Row(f"an image of {count}, both methods", (time.perf_counter() - start) / count, "s"))
    folder = result.save(settings.made / "counterfactuals")
    for row in result.summary.to_dict("records"):
        if row["value"] == row["value"]:  # some measures say nothing of some methods
            notes.add(Row(f"{row.get('method', 'dvce')}: {row['measure']}", row["value"]))
    with notes.attempt("gallery"):
        result.gallery().savefig(folder / "gallery.png", dpi=100)


PARTS: dict[str, Callable[[Settings, Notes], None]] = {
    part.__name__: part for part in (works, rates, adm_step, classifiers, denoiser, diffroar, counterfactuals)
}
