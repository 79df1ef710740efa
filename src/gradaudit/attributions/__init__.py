"""Attributions: functions `(classifier, images, targets) -> scores`, controls that keep them honest, and rankings by scores."""

from gradaudit.attributions._attribute import attribute, attribute_all, check_complete, images_without_classifier
from gradaudit.attributions._beside import OF_AUDITED, controls_beside, kind_of, opened
from gradaudit.attributions._named import each_named, named_attributions, named_controls, what_lacks
from gradaudit.attributions._ranking import Features, kept, kept_count, magnitudes, rank, rank_dtype
from gradaudit.attributions._resolve import ATTRIBUTIONS, Attribution, AttributionLike, resolve_attribution

__all__ = [
    "ATTRIBUTIONS",
    "OF_AUDITED",
    "Attribution",
    "AttributionLike",
    "Features",
    "attribute",
    "attribute_all",
    "check_complete",
    "controls_beside",
    "each_named",
    "images_without_classifier",
    "kept",
    "kept_count",
    "kind_of",
    "magnitudes",
    "named_attributions",
    "named_controls",
    "opened",
    "rank",
    "rank_dtype",
    "resolve_attribution",
    "what_lacks",
]
