"""Mask recovery as command and page ask for it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gradaudit.instruments.contract import Instrument
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.mask_recovery.audit import Grid, prepared
from gradaudit.instruments.mask_recovery.options import ABOUT, MaskRecoveryOptions
from gradaudit.instruments.mask_recovery.result import MaskRecoveryResult
from gradaudit.instruments.mask_recovery.section import mask_recovery_section
from gradaudit.instruments.setup import Setup
from gradaudit.markup.section import Section
from gradaudit.results import Result, Verdict


class MaskRecovery(Instrument):
    """Mask recovery."""

    about = ABOUT
    results = (MaskRecoveryResult,)

    def measure(self, setup: Setup, name: str, options: MaskRecoveryOptions) -> Result:
        """Mask recovery's result."""
        return _prepared(setup, name, options).run()

    def cost(self, setup: Setup, name: str, options: MaskRecoveryOptions) -> Cost:
        """The fits that the store lacks; where there are any, all images are ranked first."""
        return _prepared(setup, name, options).cost()

    def verdicts(self, result: MaskRecoveryResult) -> dict[str, Verdict]:
        """The verdict of each fill."""
        return result.verdicts

    def section(self, results: Mapping[str, MaskRecoveryResult]) -> Section:
        """Its section."""
        return mask_recovery_section(results)

    def tables(self, result: MaskRecoveryResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """The result's table."""
        heads = {"hidden": "if hidden", "seen": "if seen"}
        return [(f"Mask recovery, {name}", result.table.rename(columns=heads))]


def _prepared(setup: Setup, name: str, options: MaskRecoveryOptions) -> Grid:
    words = setup.keywords(options, MaskRecoveryOptions)
    return prepared(setup.classifiers[name], setup.train, setup.test, MaskRecoveryOptions(**words))


INSTRUMENT = MaskRecovery()
