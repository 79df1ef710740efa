"""Attributions: functions `(classifier, images, targets) -> scores`, and controls that know no classifier."""

from gradaudit.attributions._attribute import attribute, attribute_all
from gradaudit.attributions._resolve import ATTRIBUTIONS, Attribution, AttributionLike, resolve_attribution

__all__ = ["ATTRIBUTIONS", "Attribution", "AttributionLike", "attribute", "attribute_all", "resolve_attribution"]
