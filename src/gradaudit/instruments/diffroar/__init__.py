"""DiffROAR: what top- and bottom-ranked features tell of the label (Shah, Jain and Netrapalli, 2021), read or retrained."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.diffroar.audit import diffroar, prepare_diffroar
    from gradaudit.instruments.diffroar.plan import Plan
    from gradaudit.instruments.diffroar.result import DiffROARResult
    from gradaudit.instruments.diffroar.retraining import Grid
    from gradaudit.instruments.diffroar.values import Values

__all__ = ["DiffROARResult", "Grid", "Plan", "Values", "diffroar", "prepare_diffroar"]
__getattr__ = lazily(
    __name__,
    {
        "audit": ("diffroar", "prepare_diffroar"),
        "plan": ("Plan",),
        "result": ("DiffROARResult",),
        "retraining": ("Grid",),
        "values": ("Values",),
    },
)
