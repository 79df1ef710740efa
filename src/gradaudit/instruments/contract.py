"""The contract of an instrument: what a folder of this package declares and does, and how it is found.

A folder `NAME` is an instrument by being there. Its `options.py` has `ABOUT`, an `About`: it is read to build the command line,
and so imports nothing heavy. Its `instrument.py` has `INSTRUMENT`, an `Instrument`: what the command, the audit and the page ask of
it. Its package has the Python function, of the same name.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gradaudit import instruments
from gradaudit.instruments.run_options import run_options
from gradaudit.options import Options, declared

if TYPE_CHECKING:
    import pandas as pd

    from gradaudit.images import ImageSet
    from gradaudit.instruments.costs import Cost
    from gradaudit.instruments.setup import Setup
    from gradaudit.markup.pictures import Change, Pictures
    from gradaudit.markup.section import Section
    from gradaudit.results import Result

Need = Literal["classifier", "train", "denoiser", "robust", "oracles", "against", "tangents"]


@dataclass(frozen=True)
class About:
    """What an instrument declares.

    Args:
        name: of the folder, the function, the result and the TOML section; the command has hyphens.
        question: what it asks, one sentence.
        example: a command line.
        title: the heading of its page, in which `{classifier}` stands for what is audited.
        command: the options of the command, which has `--test-images` unless its own `images` says how many; None where there is no
            command.
        audited: the options in an audit; None where it is no part of one.
        needs: what the command loads beside the test images.
        wants: what it loads if it is given.
        place: its place in an audit and in listings, ascending.
        asked_for: whether an audit has it only where its preset or its user says anything of it.
    """

    name: str
    question: str
    example: str
    title: str
    command: type[Options] | None
    audited: type[Options] | None = None
    needs: frozenset[Need] = frozenset({"classifier"})
    wants: frozenset[Need] = frozenset()
    place: int = 100
    asked_for: bool = False

    @property
    def settable(self) -> frozenset[str]:
        """The options that a user may set in an audit; those of the run are given to all instruments alike."""
        return frozenset() if self.audited is None else frozenset(declared(self.audited)) - run_options(self.audited)

    @property
    def words(self) -> str:
        """The name in words."""
        return self.name[:1].upper() + self.name[1:].replace("_", " ") if self.name != "diffroar" else "DiffROAR"


@dataclass(frozen=True)
class Score:
    """A number by which classifiers can be compared.

    Args:
        value: the number; NaN where there is none.
        low: lower end of its 95 % interval; NaN where there is none.
        high: its upper end.
        better: 1 where larger is more trustworthy, -1 where smaller is.
    """

    value: float
    low: float
    high: float
    better: int

    @classmethod
    def of(cls, row: Any, better: int, value: str = "value") -> Score:
        """That of a table's row with the columns `value`, or another of that name, `low` and `high`."""
        return cls(float(row[value]), float(row["low"]), float(row["high"]), better)


@dataclass(frozen=True)
class Evidence:
    """A number by which a map, or a classifier, is compared with planted ones.

    Args:
        measure: its name among `gradaudit.answering.planted.MEASURES`; what isn't there isn't compared.
        subject: the attribution; empty where the number is of the classifier, whatever the map.
        score: the number.
        images: on so many of them.
        aside: whether it is of maps that are no attribution of the classifier's, so that no answer rests on it.
    """

    measure: str
    subject: str
    score: Score
    images: int
    aside: bool = False


class Instrument(ABC):
    """What commands, audit and page ask of an instrument. Most methods are told the setup, the classifier's name and the
    options.

    `options` is a record of `About.command` or of `About.audited`. Of the setup only what the instrument needs must be there.
    `results` are the kinds of results that it has.
    """

    about: ClassVar[About]
    results: ClassVar[tuple[type[Result], ...]]

    @abstractmethod
    def measure(self, setup: Setup, name: str, options: Any) -> Result:
        """The result for the classifier of that name."""

    @abstractmethod
    def section(self, results: Mapping[str, Any]) -> Section:
        """Its part of the page, from the results by classifier."""

    def commanded(self, setup: Setup, options: Any, words: Mapping[str, Any]) -> tuple[Setup, Any]:
        """The setup and the options once what only a command has is done with; as many images as wanted are drawn afterwards.

        Args:
            setup: all images, and what was loaded.
            options: of the command.
            words: what else the command was told: `test_images`, `allow_pickle`, ...

        Raises:
            InputError: it can't be.
        """
        return setup, options

    def drawn(self, images: ImageSet, count: int, options: Any, seed: int) -> ImageSet:
        """As many of the test images as the command was told, drawn stratified.

        Raises:
            InputError: there are not that many.
        """
        return images.sample(count, seed)

    def lacks(self, setup: Setup, name: str, options: Any) -> str | None:
        """Why the classifier can't have it, in words, or None."""
        return None

    def uses(self, setup: Setup, name: str, options: Any) -> dict[str, Any]:
        """What decides the result beside the classifier, the test images, the options and the seed, in JSON values.

        What is not in it can change, and a finished result still counts.
        """
        return {}

    @abstractmethod
    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """What it will take."""

    def plan(self, setup: Setup, name: str, options: Any) -> str:
        """The same in words, with the time, for a dry run."""
        from gradaudit.instruments.costs import spelled

        return spelled(self.cost(setup, name, options), setup, name)

    def scores(self, result: Any) -> dict[str, Score]:
        """The numbers of a result by which classifiers can be compared, each under the words that say what it is."""
        return {}

    def evidence(self, result: Any) -> Sequence[Evidence]:
        """The numbers of a result by which each audited attribution, or the classifier, is compared with planted ones."""
        return ()

    def tables(self, result: Any, name: str) -> list[tuple[str, pd.DataFrame]]:
        """What the command prints: tables with their titles."""
        return [(f"{self.about.words}, {name}", result.table)]

    def verdicts(self, result: Any) -> dict[str, Any]:
        """The verdicts that the command prints, by what they are about; empty words where there is one."""
        return {"": result.verdict}

    def pictures(self, setup: Setup, name: str, options: Any, result: Any) -> Pictures | None:
        """Some images with their maps, for the page of the command."""
        return None

    def changes(self, result: Any) -> Sequence[Change]:
        """The images that it changed for the classifier to see another class, those to show first."""
        return ()

    def write(self, result: Any, out: Path) -> None:
        """Save the result to the folder of the command, with whatever else the command leaves there."""
        result.save(out)


def names() -> tuple[str, ...]:
    """The instruments there are, in their order: the folders of this package."""
    found = [one.name for one in pkgutil.iter_modules(instruments.__path__) if one.ispkg and _has_options(one.name)]
    return tuple(sorted(found, key=lambda name: (about(name).place, name)))


def _has_options(name: str) -> bool:
    return any((Path(folder) / name / "options.py").exists() for folder in instruments.__path__)


@cache
def about(name: str) -> About:
    """What the instrument of that name declares; nothing heavy is imported."""
    found: About = importlib.import_module(f"{instruments.__name__}.{name}.options").ABOUT
    return found


@cache
def instrument(name: str) -> Instrument:
    """The instrument of that name."""
    found: Instrument = importlib.import_module(f"{instruments.__name__}.{name}.instrument").INSTRUMENT
    return found


def audited() -> tuple[str, ...]:
    """The instruments that an audit has, in their order."""
    return tuple(name for name in names() if about(name).audited is not None)
