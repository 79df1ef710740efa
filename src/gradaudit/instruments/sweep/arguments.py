"""The arguments of `sweep`: what they mean for the instruments, and refused before any training where they are wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gradaudit.devices import seeded
from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.tangents import tangent_spaces as made_of
from gradaudit.errors import InputError, require
from gradaudit.files import fingerprint
from gradaudit.identity import identity
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment import alignment
from gradaudit.instruments.alignment.arguments import check_subjects, resolve_scores
from gradaudit.instruments.alignment.methods import GRADIENTS, SIMILARITIES, Methods, resolve_methods
from gradaudit.instruments.manifold_robustness import manifold_robustness
from gradaudit.instruments.manifold_robustness.arguments import paper_radii, resolve_bases
from gradaudit.instruments.sweep.options import SweepOptions
from gradaudit.training import Recipe
from gradaudit.training.learners import check_recipe
from gradaudit.training.perturbations import check_reach

STEPS = 20  # of the PGD that measures


class Calls(NamedTuple):
    """What the three instruments are called with, and what of alignment goes into settings and keys.

    Args:
        robust: options of `robustness`.
        aligned: options of `alignment`.
        moved: options of `manifold_robustness`.
        names: of the similarity, the gradient and the score.
        methods: a fingerprint of these three functions.
    """

    robust: dict[str, Any]
    aligned: dict[str, Any]
    moved: dict[str, Any]
    names: dict[str, str]
    methods: str

    @property
    def settings(self) -> dict[str, Any]:
        """What of it decides an outcome, in JSON values."""
        return {
            **self.names,
            "methods": self.methods,
            "sigma": list(self.aligned["sigma"]),
            "radius": list(self.moved["radius"]),
            "samples": self.moved["samples"],
            "norm": self.robust["norm"],
            "eps": list(self.robust["eps"][1:]),
            "steps": self.robust["steps"],
        }


def check_base(base: Any, train: ImageSet) -> str:
    """The fingerprint of the base recipe's network.

    Raises:
        InputError: not a recipe, one that regularises already, or a network that can't take these images.
    """
    require(isinstance(base, Recipe), "base", base, "a Recipe")
    require(base.objective == "standard", "base", base.objective, 'a recipe with the objective "standard", which families replace')
    return check_recipe(base, train, "base")[1]


def read_calls(test: ImageSet, denoiser: Denoiser, options: SweepOptions) -> Calls:
    """What the options mean for the instruments.

    Raises:
        InputError: one is out of its range; names it.
        MissingExtraError: a similarity's package is not installed.
    """
    check_subjects(test, denoiser)
    check_reach(options.norm, options.eps[-1], test.shape)
    methods = {
        "similarity": resolve_methods("similarity", SIMILARITIES, options.similarity),
        "gradient": resolve_methods("gradient", GRADIENTS, options.gradient),
        "score": resolve_scores(options.score, denoiser),
    }
    radius = paper_radii(test.images[0].numel()) if options.radius is None else options.radius
    return Calls(
        {"norm": options.norm, "eps": (0.0, *options.eps), "steps": STEPS},
        {name: getattr(options, name) for name in ("sigma", *methods)},
        {"radius": radius, "samples": options.samples},
        {argument: _only(argument, found) for argument, found in methods.items()},
        fingerprint(*(part for found in methods.values() for function in found.values() for part in identity(function))),
    )


def resolve_tangents(tangent_spaces: Any, test: ImageSet, seed: int, device: torch.device, show_progress: bool) -> Tensor:
    """The bases at the test images, float32 (N, T, F) on the CPU, from a tensor, a function or what knows the manifold.

    Raises:
        InputError: none of these; or bases that are not orthonormal, or not one for each image.
    """
    if callable(tangent_spaces) and not isinstance(tangent_spaces, (Tensor, nn.Module)):
        tangent_spaces = tangent_spaces(test.floats())
    elif not isinstance(tangent_spaces, Tensor):
        try:
            tangent_spaces = made_of(test, tangent_spaces, seed=seed, device=device, show_progress=show_progress)
        except InputError as error:
            if error.argument != "source":
                raise
            kind = type(tangent_spaces).__name__
            raise InputError("tangent_spaces", kind, f"floats (N, T, F), or what they are made of ({error})") from error
    resolve_bases(tangent_spaces, test)
    bases: Tensor = tangent_spaces.detach().float().cpu().contiguous()
    return bases


def rehearse(calls: Calls, base: Recipe, test: ImageSet, denoiser: Denoiser, bases: Tensor, device: torch.device) -> None:
    """Run what has not been checked yet on two images and an untrained classifier.

    Raises:
        InputError: as the instruments: a sigma that the denoiser can't do, other classes, functions that return what they must not.
    """
    with seeded(base.seed):
        classifier = base.build(test.shape, len(test.classes))
    alignment(classifier, test[:2], denoiser, device=device, **calls.aligned)
    manifold_robustness(classifier, test[:2], bases[:2], device=device, **calls.moved | {"samples": 1})


def _only(argument: str, found: Methods) -> str:
    require(len(found) == 1, argument, [*found], f"a single {argument}")
    return next(iter(found))
