"""What holds of every instrument, a new one included: it is run by what it declares, on small images."""

import inspect
import math
import re
import shlex
from dataclasses import MISSING, fields, replace

import pandas as pd
import pytest
import torch
import typer
from markupsafe import escape
from tests.instruments.trials import TRIALS
from torch import nn

import gradaudit as ga
from gradaudit.auditing.settings import preset_names, read_preset
from gradaudit.cli import app
from gradaudit.instruments.contract import about, instrument, names
from gradaudit.instruments.load import load_result
from gradaudit.instruments.run_options import StoreOptions
from gradaudit.instruments.setup import Run, Setup
from gradaudit.options import Choice, Flag, Number, Numbers, Whole, WholeOr, declared
from gradaudit.options.declared import documented
from gradaudit.report import write_page

NAMES = names()
COMMANDS = [name for name in NAMES if about(name).command is not None]
WRONG = {
    Choice: "none of them",
    Flag: "perhaps",
    Whole: -1,
    WholeOr: 0,
    Number: float("nan"),
    Numbers: (float("nan"),),
}


class DropoutLeftOn(nn.Module):
    """A classifier whose outputs change from call to call: `F.dropout` drops in evaluation mode too."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(nn.functional.dropout(images, 0.1))


class FunctionalReLUs(nn.Module):
    """A stack of layers whose ReLUs are calls of a function, which DeepLift does not see."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Identity() if isinstance(layer, nn.ReLU) else layer for layer in inner])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            images = nn.functional.relu(images) if isinstance(layer, nn.Identity) else layer(images)
        return images


@pytest.fixture(scope="session", name="mixture")
def mixture_fixture():
    return ga.gaussian_mixture(classes=3, shape=(1, 8, 8), spread=0.08, seed=0)


@pytest.fixture(scope="session", name="setup")
def setup_fixture(mixture):
    train, test = mixture.sample(220, seed=1), mixture.sample(24, seed=2)
    mask = torch.zeros(len(test), 8, 8, dtype=torch.bool)
    mask[:, :, :4] = True
    trained = ga.train(ga.Recipe(network="mlp(width=16)", epochs=1, precision="fp32"), train, device="cpu")
    return Setup(
        classifiers={
            "mlp": trained,
            "other": ga.train(ga.Recipe(network="linear", epochs=1, precision="fp32"), train, device="cpu"),
        },
        recipes={},
        train=train,
        test=ga.ImageSet(test.images, test.labels, test.classes, mask),
        denoiser=mixture.denoiser(),
        robust=None,
        oracles={},
        run=None,
    )


@pytest.fixture(scope="session", name="measured")
def measured_fixture(setup, tmp_path_factory):
    """A function that runs an instrument by its trial, in a store of its own unless one is given."""

    def measured(name, store=None, classifier=None, **changed):
        store = store or ga.Store(tmp_path_factory.mktemp(name))
        run = Run(0, store, 1, "local", torch.device("cpu"), False)
        chosen = (
            setup if classifier is None else replace(setup, classifiers={"mlp": classifier, "other": setup.classifiers["other"]})
        )
        return instrument(name).measure(replace(chosen, run=run), "mlp", replace(options(name), **changed))

    return measured


@pytest.fixture(scope="session", name="results")
def results_fixture(measured):
    """Each instrument's result, measured when it is first asked for."""
    found = {}

    def result(name):
        if name not in found:
            found[name] = measured(name)
        return found[name]

    return result


def model(name):
    return about(name).audited or about(name).command


def options(name):
    assert name in TRIALS, f"tests/instruments/trials.py needs a small run of {name}"
    return model(name)(**TRIALS[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_result(results, measured, name):
    first, again = results(name), measured(name)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.verdict == again.verdict
    assert first.kind == name


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(model(name), StoreOptions)])
def test_finished_work_is_not_done_again(measured, name, tmp_path):
    store = ga.Store(tmp_path / "store")
    first = measured(name, store)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert written
    again = measured(name, store)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()} == written


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_result_comes_back(results, name, tmp_path):
    results(name).save(tmp_path)
    loaded = load_result(tmp_path)
    pd.testing.assert_frame_equal(loaded.table, results(name).table)
    assert (loaded.verdict, loaded.settings, loaded.details) == (
        results(name).verdict,
        results(name).settings,
        results(name).details,
    )
    assert (tmp_path / f"{name}.csv").exists()


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_section_of_the_page_and_shows_itself_in_a_notebook(results, name, tmp_path):
    page = write_page(
        tmp_path / "page.html", title="Small", results={"mlp": results(name)}, pictures=None, facts={}, command="x", seconds=None
    )
    text = page.read_text(encoding="utf-8")
    assert escape(about(name).question) in text
    assert results(name).verdict.label.capitalize() in text
    shown = results(name)._repr_html_()
    assert results(name).verdict.label in shown
    assert "<table" in shown
    assert "<img" in shown or "<svg" in shown


@pytest.mark.parametrize("name", NAMES)
def test_what_it_takes_is_known_before(setup, name, tmp_path):
    ready = replace(setup, run=Run(0, ga.Store(tmp_path), 1, "local", torch.device("cpu"), False))
    made, chosen = instrument(name), options(name)
    assert made.lacks(ready, "mlp", chosen) is None
    cost = made.cost(ready, "mlp", chosen)
    assert cost.learners or cost.networks or cost.gradients or cost.forwards or cost.denoised
    assert 0 < cost.memory < math.inf
    assert made.plan(ready, "mlp", chosen).strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_an_option_does_not_take_is_named(name):
    tried = 0
    for kind in {about(name).command, about(name).audited} - {None}:
        for option, known in declared(kind).items():
            if type(known.form) in WRONG:
                tried += 1
                with pytest.raises(ga.InputError, match=rf"^`{option}` "):
                    kind(**{option: WRONG[type(known.form)]})
    assert tried


@pytest.mark.parametrize("name", NAMES)
def test_its_options_are_declared_with_defaults_that_they_take(name):
    for kind in {about(name).command, about(name).audited} - {None}:
        for one in fields(kind):
            assert one.default is not MISSING
            text = one.metadata["option"].help
            assert text
            assert not text.endswith(".")
        kind()


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_tells_of_every_option(name):
    text = inspect.getdoc(getattr(ga, name))
    taken = inspect.signature(getattr(ga, name)).parameters
    told = [option for option in declared(model(name)) if option in taken and taken[option].default is not inspect.Parameter.empty]
    assert told
    for option in told:
        assert re.search(rf"^    {option}: ", text, re.MULTILINE), "indented as the other arguments are"


@pytest.mark.parametrize("indent", ["", " " * 4, " " * 8])
def test_options_are_told_however_much_indentation_the_python_leaves_docstrings(indent):
    text = documented(f"Text.\n\n{indent}Args:\n{indent}    {{options}}\n", model("fidelity"))
    assert re.search(rf"^{indent}    seed: ", text, re.MULTILINE)
    assert "{options}" not in text


@pytest.mark.parametrize("name", [name for name in NAMES if "classifier" in about(name).needs])
def test_a_classifier_whose_outputs_change_is_named_with_by_how_much(setup, measured, name, tmp_path):
    said = r"is randomised: it gives other outputs for the same images from call to call \(a logit by up to [\d.e-]+\)"
    result = measured(name, classifier=DropoutLeftOn(setup.classifiers["mlp"]))
    assert len([caveat for caveat in result.verdict.caveats if re.search(said, caveat)]) == 1
    page = write_page(
        tmp_path / "page.html", title="Small", results={"mlp": result}, pictures=None, facts={}, command="x", seconds=None
    )
    assert re.search(said, page.read_text(encoding="utf-8"))
    assert all(any(re.search(said, caveat) for caveat in one.caveats) for one in instrument(name).verdicts(result).values())


@pytest.mark.parametrize("name", [name for name in NAMES if "attribution" in declared(model(name))])
def test_maps_that_miss_what_their_method_promises_are_named_once_with_by_how_much(setup, measured, name, tmp_path):
    said = r"cores of captum\(method=DeepLift\) do not add up to .* they miss it by \d+% on average"
    with pytest.warns(ga.CompletenessWarning, match=said) as told:
        result = measured(name, classifier=FunctionalReLUs(setup.classifiers["mlp"]), attribution="captum(DeepLift)")
    assert len([one for one in told if issubclass(one.category, ga.CompletenessWarning)]) == 1
    assert len([caveat for caveat in result.verdict.caveats if re.search(said, caveat)]) == 1
    page = write_page(
        tmp_path / "page.html", title="Small", results={"mlp": result}, pictures=None, facts={}, command="x", seconds=None
    )
    assert re.search(said, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COMMANDS)
def test_its_command_takes_every_option_and_its_example(name):
    command = typer.main.get_command(app).commands[name.replace("_", "-")]
    taken = {parameter.name for parameter in command.params}
    assert {option for option, known in declared(about(name).command).items() if not known.python_only} <= taken
    assert "dry_run" in taken
    words = shlex.split(about(name).example)
    assert words[:2] == ["gradaudit", name.replace("_", "-")]
    command.make_context(words[1], words[2:])


@pytest.mark.parametrize("preset", preset_names())
def test_a_presets_options_are_taken(preset):
    for name, given in read_preset(preset).items():
        if isinstance(given, dict):
            about(name).audited(**given)
