"""What is measured of counterfactuals: functions `(evidence, *, options) -> values by column`, one a file, found by name.

Of whole sets: `realism` of many, and `diversity` over seeds.
"""

from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.measures._diversity import diversity
from gradaudit.instruments.counterfactual.measures._evidence import Evidence
from gradaudit.instruments.counterfactual.measures._measure import MEASURES, measure
from gradaudit.instruments.counterfactual.measures._realism import realism

__all__ = ["MEASURES", "Evidence", "LackingError", "diversity", "measure", "realism"]
