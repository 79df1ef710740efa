"""Images about which two compared classifiers disagree, as a section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from markupsafe import Markup

from gradaudit.instruments.counterfactual import CounterfactualResult
from gradaudit.instruments.counterfactual.section import counterfactual_section
from gradaudit.intervals import share_interval
from gradaudit.markup.pictures import Picture, data_uri, image_pixels
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Section
from gradaudit.packing import unpack

render = templates(__file__)

SHOWN = 8  # real images


def disagreement_section(results: Mapping[str, CounterfactualResult]) -> Section:
    """Real images about which the two disagree, then what each sees that the other does not, both ways side by side.

    Args:
        results: as `Comparison.disagreement` has them.
    """
    named = {f"{who} sees it, {other} does not": results[who] for who, other in _turned(results)}
    inner = counterfactual_section(
        named,
        anchor="disagreement",
        title="Images on which they disagree",
        question="What does the one see that the other doesn't, and which of the two do others side with?",
    )
    body = render(
        "disagreement.html",
        share=_share(results["before"]),
        real=[*_real(results["before"])],
        said={name: result.verdict for name, result in named.items()},
        overview=inner.overview,
        body=inner.body,
    )
    return replace(inner, findings=(), overview=Markup(""), body=body)


def _turned(results: Mapping[str, CounterfactualResult]) -> Iterator[tuple[str, str]]:
    return zip(results, reversed([*results]), strict=True)


def _share(result: CounterfactualResult) -> str:
    """How many of the images the two see differently as they are, in words."""
    originals = len(unpack(result.details["originals"]))
    already = len(result.details["against"]["already"])
    share, low, high = share_interval(torch.tensor([1.0] * already + [0.0] * (originals - already)).numpy())
    return f"{already} of {originals} images, {share:.1%} (95 % interval {low:.1%} to {high:.1%})"


def _real(result: CounterfactualResult) -> Iterator[tuple[str, Picture]]:
    """Images about which they disagree as they are, and what each sees."""
    originals = torch.from_numpy(unpack(result.details["originals"]))
    for one in result.details["against"]["already"][:SHOWN]:
        said = f"before: {one['classifier']}, after: {one['other']}"
        picture = data_uri(image_pixels(originals[one["image"]].float() / 255))
        yield said, Picture(picture, f"Image {one['image'] + 1}, {said}")
