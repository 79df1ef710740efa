"""The arguments of `counterfactual`: brought to one form, and refused before any work where they are wrong."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import evaluating, forward_size, halving, placed
from gradaudit.classifiers import check_alike, check_classifier, check_judges, class_count, classifier_fingerprint
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.identity import identity
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.problem import Against, Problem, Solution
from gradaudit.registry import Registry, Spec, check_complete, files_behind, options_of, parse_spec

METHODS = Registry("gradaudit.instruments.counterfactual.methods", "method")
EXPLAINED = "explained"  # the classifier, in errors about others
NAMED = 8  # images that an error names at most
BATCH = 128  # whatever batches the methods get, so that the sizes of those change nothing

MethodLike: TypeAlias = str | Mapping[str, Any] | Spec | Callable[..., Solution]
Targets: TypeAlias = str | int | Tensor | np.ndarray | Iterable[int | str]


@dataclass(frozen=True, eq=False)
class Method:
    """A method of making counterfactuals, ready to run.

    Args:
        name: canonical, for tables: the options that the user set are in it.
        function: the options that the user set are bound.
        options: all of them, the others' defaults included.
        needs_denoiser: whether it can't do without a denoiser.
        asks_helpers: whether it may ask the denoiser or the robust classifier, as any may that does not say otherwise.
        own: whether the function is the user's.
        fingerprint: SHA-256 of all that decides its outcome, beside the problem.
        heeds_found: whether it goes away from what was found before.
    """

    name: str
    function: Callable[[Problem], Solution]
    options: Mapping[str, Any]
    needs_denoiser: bool
    asks_helpers: bool
    own: bool
    fingerprint: str
    heeds_found: bool = False


def check_subjects(images: Any, denoiser: Any) -> None:
    """Raise `InputError` unless they are an image set and, where there is one, a denoiser of such images."""
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    if denoiser is None:
        return
    require(isinstance(denoiser, Denoiser), "denoiser", type(denoiser).__name__, "a Denoiser, or None; load_denoiser gives one")
    fits = denoiser.shape is None or tuple(denoiser.shape) == images.shape
    require(fits, "denoiser", f"of images of shape {denoiser.shape}", f"of images of shape {images.shape}, as those given are")


def check_reference(reference: Any, images: ImageSet) -> None:
    """Raise `InputError` unless it is an image set of the same shape and classes."""
    require(isinstance(reference, ImageSet), "reference", type(reference).__name__, "an ImageSet, or None")
    alike = reference.shape == images.shape and reference.classes == images.classes
    require(alike, "reference", reference, "images of the shape and classes of those that are to change")


def check_classifiers(
    classifier: Any, robust: Any, oracles: Any, images: ImageSet
) -> tuple[nn.Module, nn.Module | None, dict[str, nn.Module], tuple[str, ...]]:
    """The three, each returning logits alone, and what must be known of any figure about them: see `check_classifier`.

    Raises:
        InputError: one is no classifier of these images with as many logits as the others, or an oracle is the classifier itself.
    """
    good = isinstance(oracles, Mapping) and all(isinstance(name, str) and name.strip() for name in oracles)
    require(good, "oracles", oracles, "None, or classifiers by name")
    explained, caveats = check_classifier(classifier, images)
    helper, more = (
        (None, ()) if robust is None else check_alike(robust, "robust", images, class_count(explained, images), EXPLAINED)
    )
    asked, others = check_judges(oracles, explained, images, EXPLAINED)
    return explained, helper, asked, (*caveats, *more, *others)


def check_against(
    against: Any, explained: nn.Module, robust: nn.Module | None, images: ImageSet, methods: Mapping[str, Method]
) -> tuple[nn.Module | None, tuple[str, ...]]:
    """The classifier that is to keep its class, returning logits alone, or None; and what must be known of any figure about it.

    Args:
        against: what was given.
        explained: checked.
        robust: the helper, checked, or None.
        images: those that are to change.
        methods: that change them.

    Raises:
        InputError: it is no classifier of these images with as many logits, or it is the explained one, or the robust helper of a
            method that may ask it.
    """
    if against is None:
        return None, ()
    module, caveats = check_alike(against, "against", images, class_count(explained, images), EXPLAINED)
    mark, name = classifier_fingerprint(module), type(against).__name__
    itself = mark == classifier_fingerprint(explained)
    require(not itself, "against", name, "another classifier than the explained one, which can't disagree with itself")
    asking = [method.name for method in methods.values() if method.asks_helpers]
    helps = robust is not None and bool(asking) and mark == classifier_fingerprint(robust)
    expected = f"another classifier than the robust helper, which pulls towards the target in {', '.join(asking)}"
    require(not helps, "against", name, expected)
    return module, caveats


def resolve_methods(method: Any) -> dict[str, Method]:
    """The methods that are meant, by name, in their order.

    Args:
        method: a spec such as `"dvce"`, `"package.module:function"`, a function, or a list of such.

    Raises:
        InputError: it is none of these, an option does not exist or is missing, or two have one name.
    """
    several = method if isinstance(method, (list, tuple)) else [method]
    require(len(several) > 0, "method", method, "at least one method")
    methods: dict[str, Method] = {}
    for one in several:
        found = _own(one) if callable(one) else _named(parse_spec("method", one))
        require(found.name not in methods, "method", found.name, "named differently from the others")
        methods[found.name] = found
    return methods


def check_denoiser(methods: Mapping[str, Method], denoiser: Denoiser | None) -> None:
    """Raise `InputError` if a method needs a denoiser and there is none."""
    needy = [name for name, method in methods.items() if method.needs_denoiser]
    require(denoiser is not None or not needy, "denoiser", None, f"given, as {', '.join(needy)} needs one; load_denoiser gives one")


def check_repulsion(repulsion: float, seeds: int, methods: Mapping[str, Method]) -> None:
    """Raise `InputError` if counterfactuals are to repel each other where there is one of each image, or a method can't do it."""
    require(not repulsion or seeds > 1, "repulsion", repulsion, "0 where there is one counterfactual of an image: seeds=2 or more")
    deaf = [name for name, method in methods.items() if not method.heeds_found]
    require(not repulsion or not deaf, "repulsion", repulsion, f"0 with {', '.join(deaf)}: dvce and blended alone repel")


def probabilities_of(classifier: nn.Module, images: ImageSet, device: torch.device, argument: str = "classifier") -> Tensor:
    """What the classifier, which is on that device, makes of the images: probabilities (N, K) in double precision, on the CPU.

    Raises:
        InputError: logits that are not finite; names the images.
    """

    def seen(part: slice) -> Tensor:
        logits: Tensor = classifier(placed(classifier, images.floats(part, device)))
        return logits.double().cpu()

    size = forward_size(classifier, images.floats([0], device), device=device, most=BATCH)
    with evaluating(classifier), torch.no_grad():
        logits = torch.cat([found for _, found in halving(seen, len(images), size)])
    bad = (~logits.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    expected = f"one with finite logits at every image; NaN or infinity at {_listed(bad)}"
    require(not bad, argument, type(classifier).__name__, expected)
    return logits.softmax(dim=1)


def resolve_targets(targets: Any, probabilities: Tensor, images: ImageSet, denoiser: Denoiser | None) -> tuple[Tensor, Tensor]:
    """The images that are to change, int64 (R,), and the class that each is to become, (R,), image by image.

    Args:
        targets: `"second"`, `"all"`, a class by its index or name, or one for each image.
        probabilities: what the classifier makes of the images, (N, K).
        images: with the names of their classes.
        denoiser: where there is one that knows classes, it must know the targets.

    Raises:
        InputError: no such class, as many targets as there are not images, a target that is the class which the classifier gives
            the image now, or one that the denoiser doesn't know.
    """
    present, classes = probabilities.argmax(dim=1), images.classes
    which = torch.arange(len(images))
    if isinstance(targets, str) and targets == "all" and "all" not in classes:
        wanted = torch.arange(len(classes)).expand(len(images), -1)
        which, column = (wanted != present[:, None]).nonzero(as_tuple=True)
        chosen = column
    elif isinstance(targets, str) and targets == "second" and "second" not in classes:
        chosen = _second(probabilities[:, : len(classes)], present)
    else:
        chosen = _given(targets, classes, len(images))
        _check_changes(targets, chosen, present, classes)
    count = denoiser.classes if denoiser is not None else 0
    unknown = sorted({classes[int(target)] for target in chosen if count and int(target) >= count})
    require(not unknown, "targets", ", ".join(unknown), f"among the {count} classes that the denoiser knows")
    return which, chosen


def agreeing(which: Tensor, chosen: Tensor, before: Tensor, against: Against) -> tuple[Tensor, Tensor]:
    """Of the images that are to change and their targets, those that both classifiers give the same class now.

    Raises:
        InputError: there are none.
    """
    same = (before.argmax(dim=1) == against.classes)[which]
    expected = "a classifier that gives some of the images the class that the explained one gives them"
    require(bool(same.any()), "against", f"one that disagrees about all {len(before)} already", expected)
    return which[same], chosen[same]


def _second(probabilities: Tensor, present: Tensor) -> Tensor:
    others = probabilities.clone()
    inside = present < others.shape[1]  # the classifier may have classes that these images lack
    others[inside, present[inside]] = -1.0
    return others.argmax(dim=1)


def _given(targets: Any, classes: tuple[str, ...], count: int) -> Tensor:
    expected = f'"second", "all", a class (of {", ".join(classes[:20])}) by its name or index, or one for each of {count} images'
    if isinstance(targets, (str, int, np.integer)) and not isinstance(targets, bool):
        return torch.full((count,), _class(targets, targets, classes, expected))
    listed = targets.tolist() if isinstance(targets, (Tensor, np.ndarray)) and targets.ndim == 1 else targets
    require(isinstance(listed, (list, tuple)) and len(listed) == count, "targets", targets, expected)
    return torch.tensor([_class(targets, one, classes, expected) for one in listed])


def _class(targets: Any, one: Any, classes: tuple[str, ...], expected: str) -> int:
    if isinstance(one, str) and one in classes:
        return classes.index(one)
    whole = isinstance(one, (int, np.integer)) and not isinstance(one, bool)
    require(whole and 0 <= int(one) < len(classes), "targets", targets, expected)
    return int(one)


def _check_changes(targets: Any, chosen: Tensor, present: Tensor, classes: tuple[str, ...]) -> None:
    same = (chosen == present).nonzero()[:, 0].tolist()
    names = sorted({classes[int(chosen[one])] for one in same})
    already = f"{_listed(same)} count{'s' if len(same) == 1 else ''} as {', '.join(names)} already"
    expected = f"other classes than those that the classifier gives the images now: {already}"
    require(not same, "targets", targets, expected)


def _listed(which: list[int]) -> str:
    more = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
    return f"image{'s' if len(which) > 1 else ''} {', '.join(map(str, which[:NAMED]))}{more}"


def _named(spec: Spec) -> Method:
    bound: Any = METHODS.bind("method", spec)
    check_complete("method", spec, bound)
    own = ":" in spec.name
    return _method(spec.name if own else spec.name.replace("-", "_"), bound, own)


def _own(function: Callable[..., Solution]) -> Method:
    bound = function if isinstance(function, functools.partial) else functools.partial(function)
    return _method(getattr(bound.func, "__qualname__", type(bound.func).__qualname__).rpartition("<locals>.")[2], bound, True)


def _method(name: str, bound: functools.partial[Solution], own: bool) -> Method:
    written = str(Spec(name, {key: _word(value) for key, value in bound.keywords.items()}))
    options = {key: value for key, value in options_of(bound.func).items() if value is not inspect.Parameter.empty} | bound.keywords
    called = functools.partial(bound.func, *bound.args, **options)
    guided, asks = (bool(getattr(bound.func, mark, usual)) for mark, usual in (("needs_denoiser", False), ("asks_helpers", True)))
    behind = [one for value in options.values() for one in files_behind(value)]
    heeds = bool(getattr(bound.func, "heeds_found", False))
    return Method(written, bound, options, guided, asks, own, fingerprint(*identity(called), *behind), heeds)


def _word(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} {classifier_fingerprint(value)[:8]}"
    return f"{getattr(value, '__name__', type(value).__name__)} {fingerprint(*identity(value))[:8]}" if callable(value) else value
