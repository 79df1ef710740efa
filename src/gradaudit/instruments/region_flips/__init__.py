"""Flips by region: whether an image becomes another class, to others too, by changes of the pixels that a map ranks first."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.region_flips.audit import region_flips
    from gradaudit.instruments.region_flips.result import RegionFlipsResult

__all__ = ["RegionFlipsResult", "region_flips"]
__getattr__ = lazily(__name__, {"audit": ("region_flips",), "result": ("RegionFlipsResult",)})
