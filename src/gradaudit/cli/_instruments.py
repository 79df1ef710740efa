"""The command of an instrument, made of what the instrument declares."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradaudit.cli import _options as shared
from gradaudit.cli._classes import in_their_order
from gradaudit.cli._output import deliver, say
from gradaudit.cli._words import (
    CREW,
    DEVICE,
    DRY_RUN,
    IMAGES,
    JSON,
    MEMORY,
    REQUIRED,
    SEED,
    STORE,
    TRAIN_IMAGES,
    Word,
    out,
    told,
    word,
)
from gradaudit.errors import InputError, require
from gradaudit.instruments.contract import About, Instrument, instrument
from gradaudit.instruments.run_options import StoreOptions
from gradaudit.memory import memory_budget, memory_limit
from gradaudit.options import Choice, Flag, Option, Options, declared

if TYPE_CHECKING:
    from torch import nn

    from gradaudit.instruments.setup import Run, Setup

Denoiser = Annotated[
    str, typer.Option(help="`zoo:NAME`, a `.safetensors` file, a diffusers folder, a checkpoint, or `package.module:name`.")
]
Robust = Annotated[str | None, typer.Option(help="A robust classifier whose gradients help, given as the audited one may be.")]
Oracles = Annotated[
    list[str] | None,
    typer.Option(help="NAME=CLASSIFIER, another classifier that is asked what it sees; may be repeated."),
]
Against = Annotated[
    str | None,
    typer.Option(help="A classifier that is to keep its class where the audited one changes its mind, given as that one may be."),
]
SOURCES = {
    "denoiser": ("denoiser", Denoiser),
    "robust": ("robust", Robust),
    "oracles": ("oracle", Oracles),
    "against": ("against", Against),
}
RUN = {"seed": (SEED,), "device": (DEVICE,), "memory": (MEMORY,), "store": (STORE,), "workers": CREW[:1], "backend": CREW[1:]}


def command(about: About) -> Callable[..., None]:
    """The command, for Typer, of an instrument that has one."""
    model = about.command
    assert model is not None
    own = _own(model)

    @told(*_loaded(about), *(_parameter(model, name, one) for name, one in own.items()), *_around(about, model))
    def run(**words: Any) -> None:
        meant = {name: _meant(name, one, words.pop(name)) for name, one in own.items()}
        options = model(**{name: value for name, value in meant.items() if value is not None})
        with memory_limit(shared.memory_of(words.get("memory"))):
            _run(about, options, words)

    run.__name__ = about.name
    kept = "\n\nA run that is stopped continues where it was when the same command is given again."
    kept = kept if issubclass(model, StoreOptions) else ""
    run.__doc__ = f"{about.question}{kept}\n\nExample: `{about.example}`"
    return run


def _own(model: type[Options]) -> dict[str, Option]:
    """The options that are the instrument's, not those of any run."""
    shown = {name: one for name, one in declared(model).items() if not one.python_only}
    return {name: one for name, one in shown.items() if name not in RUN}


def _loaded(about: About) -> list[Word]:
    """What is audited, on what, and with what help."""
    found = [word("classifier", shared.Audited, REQUIRED)] if "classifier" in about.needs else []
    found.append(word("data", shared.Data, REQUIRED))
    found += [word(*SOURCES[need], REQUIRED) for need in SOURCES if need in about.needs]
    found += [word(name, _optional(kind), None) for need, (name, kind) in SOURCES.items() if need in about.wants]
    if "classifier" in about.needs:
        found += [word("weights", shared.Weights, None), word("normalisation", shared.Normalisation, None)]
    return [*found, word("allow_pickle", shared.AllowPickle, False)]


def _optional(kind: Any) -> Any:
    return Annotated[kind.__origin__ | None, *kind.__metadata__]


def _around(about: About, model: type[Options]) -> list[Word]:
    """Which images, where to, and how the run is done; an option `images` of the command's own says how many test images."""
    found = [TRAIN_IMAGES] if "train" in about.needs else []
    found += [one for one in IMAGES if one.name != "test_images" or "images" not in declared(model)]
    found.append(out("out", "results.json, tables, figures and page"))
    found += [one for name in declared(model) for one in RUN.get(name, ())]
    return [*found, DRY_RUN, JSON]


def _parameter(model: type[Options], name: str, one: Option) -> Word:
    """An option as Typer takes it; one that is not given is None where its default is no value of the command line."""
    default = next(field.default for field in fields(model) if field.name == name)
    kind: Any = _kind(name, one, default)
    text = one.help[:1].upper() + one.help[1:] + "." + (" May be repeated." if one.form.repeated else "")
    shown = one.shown or _shown(default)
    plain = isinstance(default, (bool, int, float)) and not one.form.repeated and one.form.typed is not str
    if isinstance(one.form, Choice) and default is not None:
        default, plain = kind(default), True
    flag = [f"--{name.replace('_', '-')}"] if isinstance(one.form, Flag) and default is False else []
    if plain:
        return word(name, Annotated[kind, typer.Option(*flag, help=text)], default)
    return word(name, Annotated[kind | None, typer.Option(*flag, help=text, show_default=shown)], None)


def _kind(name: str, one: Option, default: Any) -> Any:
    if isinstance(one.form, Choice):
        return StrEnum(name, {choice: choice for choice in one.form.choices})
    return list[str] if one.form.repeated else one.form.typed


def _shown(default: Any) -> str:
    """A default as it would be typed."""
    if isinstance(default, (tuple, list)):
        return ",".join(f"{one:g}" if isinstance(one, float) else str(one) for one in default) or "none"
    return "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def _meant(name: str, one: Option, given: Any) -> Any:
    argument = f"--{name.replace('_', '-')}"
    if given is None or isinstance(given, StrEnum):
        return given and given.value
    return one.form.read(argument, given)


def _run(about: About, options: Any, words: Mapping[str, Any]) -> None:
    """Load, measure, save and say."""
    from gradaudit.classifiers import check_classifier
    from gradaudit.files import check_writable

    check_writable("--out", words["out"])
    made = instrument(about.name)
    setup, options = made.commanded(_setup(about, words), options, words)
    setup = _drawn(made, setup, options, words)
    name = words["classifier"] if "classifier" in about.needs else words["data"]
    reason = made.lacks(setup, name, options)
    if reason is not None:
        raise InputError("data", words["data"], f"such that {about.name} can be measured: {reason}")
    if words["dry_run"]:
        for one in setup.classifiers.values():
            check_classifier(one, setup.test)
        say(made.plan(setup, name, options))
        return
    start = time.perf_counter()
    result = made.measure(setup, name, options)
    seconds = time.perf_counter() - start
    deliver(made, result, name, words["out"], seconds, words["as_json"], lambda: made.pictures(setup, name, options, result))


def _setup(about: About, words: Mapping[str, Any]) -> Setup:
    """What is loaded; helpers fit the test images."""
    from gradaudit.diffusion.load import load_denoiser
    from gradaudit.instruments.setup import Setup

    training, testing = shared.images(words["data"], words["data_dir"], words["seed"], None, None, words["on_error"])
    pickle = words["allow_pickle"]

    def loaded(name: str) -> nn.Module:
        return shared.load_audited(name, None, testing, None, pickle)

    classifiers: dict[str, nn.Module] = {}
    if "classifier" in about.needs:
        name = words["classifier"]
        classifiers[name] = shared.load_audited(name, words["weights"], testing, words["normalisation"], pickle)
        training, testing = in_their_order([*classifiers.values()], training, testing)
    denoiser, robust, against = (words.get(name) for name in ("denoiser", "robust", "against"))
    return Setup(
        classifiers=classifiers,
        recipes={},
        train=training,
        test=testing,
        denoiser=None if denoiser is None else load_denoiser(denoiser, allow_pickle=pickle),
        robust=None if robust is None else loaded(robust),
        oracles={name: loaded(one) for name, one in map(_named, words.get("oracle") or [])},
        run=_how(words),
        against=None if against is None else loaded(against),
    )


def _how(words: Mapping[str, Any]) -> Run:
    """How the run is done."""
    from gradaudit.devices import resolve_device
    from gradaudit.instruments.setup import Run
    from gradaudit.training.store import as_store

    return Run(
        seed=words.get("seed", 0),
        device=resolve_device(words.get("device", "auto")),
        show_progress=True,
        store=as_store(words.get("store")),
        workers=shared.workers_of(words.get("workers", "auto")),
        backend=shared.backend_of(words.get("backend", "local"), words.get("address")),
        memory=memory_budget(),
    )


def _drawn(made: Instrument, setup: Setup, options: Any, words: Mapping[str, Any]) -> Setup:
    """With as many images as were asked for."""
    training, testing, seed = words.get("train_images"), words.get("test_images"), setup.run.seed
    return replace(
        setup,
        train=setup.train if training is None else setup.train.sample(training, seed),
        test=setup.test if testing is None else made.drawn(setup.test, testing, options, seed),
    )


def _named(text: str) -> tuple[str, str]:
    name, _, classifier = text.partition("=")
    require(bool(name and classifier), "--oracle", text, "NAME=CLASSIFIER, such as robust=zoo:mnist/robust")
    return name, classifier
