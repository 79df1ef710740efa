"""What counterfactual differences ask, and their options: DiffROAR's, and how counterfactuals are made."""

from __future__ import annotations

from dataclasses import dataclass

from gradaudit.instruments.contract import About
from gradaudit.instruments.diffroar.options import DiffROAROptions
from gradaudit.options import Spec, Whole, option


@dataclass(frozen=True, kw_only=True)
class DifferencesInAudit(DiffROAROptions):
    """The options in an audit; `attribution` is what stands beside the differences."""

    method: str = option(
        "dvce(steps=50, views=1, guidance=none)", Spec(), "the single method that makes counterfactuals, as `counterfactual` has it"
    )
    train_images: int | None = option(
        None, Whole(2), "training images used, where these need counterfactuals: to retrain, or with `selection`", shown="all"
    )
    test_images: int | None = option(None, Whole(2), "test images used", shown="all")


ABOUT = About(
    name="counterfactual_differences",
    question="Do the features that a counterfactual changes most carry more label information than those that it leaves?",
    example="gradaudit audit audit.toml",
    title="Do the counterfactuals of {classifier} change what carries the label?",
    command=None,
    audited=DifferencesInAudit,
    needs=frozenset({"classifier", "train"}),
    wants=frozenset({"denoiser", "robust"}),
    place=20,
)
