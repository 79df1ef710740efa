"""Attributions: functions `(classifier, images, targets) -> scores`, controls that keep them honest, and rankings by scores."""

from gradaudit.attributions._attribute import attribute, attribute_all
from gradaudit.attributions._named import each_named, named_attributions, named_controls, what_lacks
from gradaudit.attributions._ranking import Features, kept, kept_count, magnitudes, rank, rank_dtype
from gradaudit.attributions._resolve import ATTRIBUTIONS, Attribution, AttributionLike, resolve_attribution

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "AttributionLike",
    "Features",
    "attribute",
    "attribute_all",
    "each_named",
    "kept",
    "kept_count",
    "magnitudes",
    "named_attributions",
    "named_controls",
    "rank",
    "rank_dtype",
    "resolve_attribution",
    "what_lacks",
]
