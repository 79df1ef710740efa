"""The instruments of an audit, until the last has moved to its own folder."""

from types import SimpleNamespace
from typing import Any

from gradaudit.errors import InputError
from gradaudit.instruments.contract import about, audited, instrument

OLD = ("diffroar", "counterfactual_differences", "robustness", "alignment", "manifold_robustness", "counterfactual")
ORDER = ("diffroar", "counterfactual_differences", "leakage", "robustness", "alignment", "manifold_robustness", "counterfactual")


def kinds() -> tuple[str, ...]:
    new = audited()
    return tuple(
        sorted({*new, *(name for name in OLD if name not in new)}, key=lambda name: ORDER.index(name) if name in ORDER else 99)
    )


def of(kind: str) -> Any:
    if kind in audited():
        return instrument(kind)
    from importlib import import_module

    stage = import_module(f"gradaudit.auditing.stages.{kind}").STAGE
    return SimpleNamespace(lacks=stage.lacks, measure=stage.run, uses=stage.uses, cost=stage.cost, scores=stage.scores)


def settable(kind: str) -> frozenset[str]:
    if kind in audited():
        return about(kind).settable
    from importlib import import_module

    return import_module(f"gradaudit.auditing.stages.{kind}").STAGE.takes


def typed(kind: str, options: Any) -> Any:
    if kind in audited():
        try:
            return about(kind).audited(**options)
        except InputError as error:
            raise error.within(kind) from None
    return options
