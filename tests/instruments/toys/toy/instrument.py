"""The toy as command, audit and page ask for it."""

from gradaudit.instruments.toy.measure import toy
from gradaudit.instruments.toy.options import ABOUT, ToyOptions
from gradaudit.instruments.toy.result import ToyResult

from gradaudit.instruments.contract import Instrument, Score
from gradaudit.instruments.costs import Cost
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section

render = templates(__file__)


class Toy(Instrument):
    """The toy."""

    about = ABOUT
    results = (ToyResult,)

    def measure(self, setup, name, options):
        images = setup.test_images(getattr(options, "images", None))
        return toy(setup.classifiers[name], images, **setup.keywords(options, ToyOptions))

    def cost(self, setup, name, options):
        return Cost(gradients=len(setup.test_images(getattr(options, "images", None))) // 3)

    def scores(self, result):
        value = float(result.table["value"].iloc[0])
        return {"confidence": Score(value, float("nan"), float("nan"), 1)}

    def section(self, results):
        values = {name: f"{one.table['value'].iloc[0]:.3f}" for name, one in results.items()}
        findings = tuple(Finding(name, "confidence", one.verdict) for name, one in results.items())
        overview = render("overview.html", values=values)
        return Section("toy", "Toy", ABOUT.question, findings, overview, render("section.html", values=values))


INSTRUMENT = Toy()
