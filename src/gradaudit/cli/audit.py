"""`gradaudit audit` and `gradaudit compare`: all instruments, one page; and two audits side by side."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._classes import in_their_order
from gradaudit.cli._options import OnError, backend_of, command_line, memory_of, workers_of
from gradaudit.cli._output import console, say
from gradaudit.cli._words import CREW, DEVICE, DRY_RUN, IMAGES, JSON, MEMORY, SEED, STORE, TRAIN_IMAGES, out, told, word
from gradaudit.errors import require

if TYPE_CHECKING:
    import pandas as pd

    from gradaudit.auditing import Audit, AuditResult, Comparison
    from gradaudit.auditing.files import Request

NAMED = "NAME=CLASSIFIER, such as robust=zoo:mnist/robust, or one TOML file"


@told(
    TRAIN_IMAGES,
    *IMAGES,
    out("report", "the page, results.json, tables and figures"),
    STORE,
    *CREW,
    DEVICE,
    MEMORY,
    word("seed", Annotated[int | None, typer.Option(help="Every random draw comes from it.", show_default="0")], None),
    DRY_RUN,
    JSON,
)
def audit(
    classifiers: Annotated[
        list[str],
        typer.Argument(
            help="One TOML file that says all; or classifiers, each as NAME=CLASSIFIER: a file of `gradaudit train`, "
            "`zoo:mnist/robust`, `package.module:model`, or `lenet5(weights='lenet5.pt', normalisation=mnist)`."
        ),
    ],
    data: Annotated[
        str | None, typer.Option(help="A data set's name, a folder of class folders, of idx or of CIFAR files, or an `.npz` file.")
    ] = None,
    preset: Annotated[str, typer.Option(help="`quick`, `standard` or `paper`.", show_default="standard")] = "",
    denoiser: Annotated[str | None, typer.Option(help="For alignment and counterfactuals: `zoo:mnist`, a file, ...")] = None,
    robust: Annotated[str | None, typer.Option(help="A robust classifier that helps to make counterfactuals.")] = None,
    oracle: Annotated[
        list[str] | None,
        typer.Option(help="NAME=CLASSIFIER, asked what counterfactuals show; the other audited ones unless given."),
    ] = None,
    on_blocks: Annotated[
        list[str] | None,
        typer.Option(help="NAME=CLASSIFIER, trained as the audited one, but on blocks of such images: leakage is measured of it."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="The class names in the order of the classifiers' outputs, such as dog,cat; else the data's.")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="An instrument to leave out; may be repeated.")] = None,
    **words: Any,
) -> None:
    """All instruments on one or several classifiers: can their gradients be trusted? One page.

    A run that is stopped continues where it was when the same command is given again.

    Example: `gradaudit audit a=zoo:mnist/standard b=zoo:mnist/robust --data mnist5k --denoiser zoo:mnist --preset quick`
    """
    from gradaudit.auditing.files import Request, read_request
    from gradaudit.files import check_writable
    from gradaudit.instruments.contract import audited

    check_writable("--out", words["out"])
    words["memory"] = memory_of(words["memory"])
    changes: dict[str, Any] = dict.fromkeys(skip or [], False)
    changes |= {name: words[name] for name in ("train_images", "test_images") if words[name] is not None}
    named: dict[str, Any] = {"denoiser": denoiser, "robust": robust}
    listed = {"--oracle": oracle, "--on-blocks": on_blocks}
    if len(classifiers) == 1 and classifiers[0].endswith(".toml"):
        for option, value in (("--data", data), *((f"--{name}", one) for name, one in named.items()), *listed.items()):
            require(value is None, option, value, "left out where a TOML file says all")
        asked = read_request(classifiers[0], set(audited()))
        asked = replace(asked, options={**asked.options, **changes})
    else:
        require(data is not None, "--data", data, "a data set, such as mnist5k")
        found = {option.lstrip("-").replace("-", "_"): _named(option, given or []) for option, given in listed.items()}
        named |= {"oracles": found["oracle"], "on_blocks": found["on_blocks"]}
        asked = Request(_named("classifiers", classifiers), str(data), options=changes, **named)
    on_error = None if words["on_error"] is OnError.raises else words["on_error"].value
    given = {"preset": preset or None, "data_dir": words["data_dir"], "classes": _names(classes), "on_error": on_error}
    given |= {"seed": words["seed"]}
    asked = replace(asked, **{key: value for key, value in given.items() if value is not None})
    ready = _prepared(asked, words)
    if words["dry_run"]:
        print_plan(ready)
        return
    result = ready.run()
    page = result.write(words["out"], command=shlex.join(["gradaudit", *command_line]))
    if words["as_json"]:
        print(json.dumps(result.to_json()))
        return
    print_audit(result)
    say(f"{result.timings['seconds']:.0f} s; page, results.json, tables and figures: {page}")


@told(*IMAGES[1:], STORE, DEVICE, MEMORY, SEED, JSON)
def compare(
    before: Annotated[Path, typer.Argument(help="The folder of an audit.")],
    after: Annotated[Path, typer.Argument(help="The folder of another.")],
    classifier: Annotated[
        list[str] | None,
        typer.Option(help="Given twice, the audited classifiers before and after: images are sought about which they disagree."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data set whose test images are then changed.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Change that many of them, drawn stratified by `--seed`.")] = 16,
    method: Annotated[
        list[str] | None, typer.Option(help="How, as `gradaudit counterfactual` has it; may be repeated.", show_default="svce")
    ] = None,
    denoiser: Annotated[str | None, typer.Option(help="For the methods that need one: `zoo:mnist`, a file, ...")] = None,
    robust: Annotated[str | None, typer.Option(help="A third, robust classifier that helps to change images.")] = None,
    oracle: Annotated[list[str] | None, typer.Option(help="NAME=CLASSIFIER, asked which of the two is right.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page and the tables.")] = Path("comparison"),
    **words: Any,
) -> None:
    """Two saved audits side by side: what changed, and whether by more than the intervals.

    Example: `gradaudit compare report_before report_after`
    """
    from gradaudit.auditing import compare as compared
    from gradaudit.files import check_writable

    check_writable("--out", out)
    helped = {"data": data, "method": method, "denoiser": denoiser, "robust": robust, "oracle": oracle}
    for option, value in helped.items():
        require(value is None or classifier is not None, f"--{option}", value, "left out where no --classifier is given")
    options = {"seed": words["seed"], "store": words["store"], "device": words["device"], "memory": memory_of(words["memory"])}
    pair = {} if classifier is None else _pair(classifier, images, helped | words)
    found = compared(before, after, **pair, **options, **({} if method is None else {"method": method}), show_progress=bool(pair))
    page = found.write(out, command=shlex.join(["gradaudit", *command_line]))
    if words["as_json"]:
        print(found.table.to_json(orient="records"))
        return
    print_comparison(found)
    say(f"page and tables: {page}")


def _pair(classifiers: list[str], count: int, words: Mapping[str, Any]) -> dict[str, Any]:
    """What `compare` is given to find images about which two classifiers disagree."""
    from gradaudit.auditing.files import read_classifier
    from gradaudit.datasets import load_images
    from gradaudit.diffusion import load_denoiser

    require(len(classifiers) == 2, "--classifier", ", ".join(classifiers), "given twice: the audited one before, and the one after")
    data, seed, denoiser, robust = (words[name] for name in ("data", "seed", "denoiser", "robust"))
    require(data is not None, "--data", data, "a data set, such as mnist5k, whose images the classifiers may disagree about")
    _, testing = load_images(data, folder=words["data_dir"], seed=seed, on_error=words["on_error"].value)
    pair = [read_classifier("--classifier", one, testing)[0] for one in classifiers]
    oracles = _named("--oracle", words["oracle"] or [])
    _, testing = in_their_order(pair, testing, testing)
    return {
        "classifiers": pair,
        "images": testing.sample(min(count, len(testing)), seed),
        "denoiser": None if denoiser is None else load_denoiser(denoiser),
        "robust": None if robust is None else read_classifier("--robust", robust, testing)[0],
        "oracles": {name: read_classifier("--oracle", one, testing)[0] for name, one in oracles.items()},
    }


class Document(StrEnum):
    """What a schema describes."""

    results = "results"
    file = "file"


def schema(
    of: Annotated[
        Document, typer.Option(help="Of an audit's `results.json`, or of the TOML file that asks for one.")
    ] = Document.results,
) -> None:
    """Print the JSON Schema of an audit's `results.json`, or of its TOML file."""
    from gradaudit.auditing.document import file_schema, json_schema

    print(json.dumps(json_schema() if of is Document.results else file_schema(), indent=2))


def print_plan(audit: Audit) -> None:
    """Print what each instrument will take, and what is left out."""
    from gradaudit.instruments.costs import with_memory
    from gradaudit.memory import spelled_bytes
    from gradaudit.progress import duration

    table = Table(title="What this audit takes; what the store has takes nothing")
    for column in ("classifier", "instrument", "networks", "gradients", "forward", "denoised images", "time", "memory"):
        table.add_column(column, justify="left" if column in ("classifier", "instrument") else "right")
    estimate = audit.estimate()
    for row in estimate.to_dict("records"):
        counts = (f"{row[name]:,}" for name in ("networks", "gradients", "forwards", "denoised"))
        table.add_row(escape(row["classifier"]), row["instrument"], *counts, duration(row["seconds"]), spelled_bytes(row["memory"]))
    console().print(table)
    for name, accuracy in audit.accuracies.items():
        say(f"{escape(name)} gives {100 * accuracy:.1f} % of the test images their label")
    for caveat in audit.caveats:
        say(f"[bold]Look into this first[/bold]: {escape(caveat)}")
    _print_skipped(audit.skipped)
    say(f"about {duration(float(estimate['seconds'].sum()))} in all, {with_memory(float(estimate['memory'].max()))}")


def print_audit(result: AuditResult) -> None:
    """Print the answers, then the verdicts, the numbers across classifiers, and what was left out."""
    from gradaudit.markup.rendering import sentence

    _print_answers(result)
    for caveat in result.caveats:
        say(f"[bold]Look into this first[/bold]: {escape(caveat)}")
    table = Table(title="Verdicts: what the answer would be by one instrument alone, by maps of known quality; and what it found")
    for column in ("classifier", "instrument", "by it alone", "in words"):
        table.add_column(column)
    for row in result.verdicts().to_dict("records"):
        known = f"{sentence(row['calibrated'])} " if row["calibrated"] else ""
        words = f"{escape(known)}[bold]{escape(row['finding'])}[/bold]: {escape(row['sentence'])}"
        table.add_row(escape(row["classifier"]), row["instrument"], f"[bold]{row['label']}[/bold]", words)
    console().print(table)
    console().print(_numbers(result.scores))
    _print_skipped(result.skipped)


def _print_answers(result: AuditResult) -> None:
    from gradaudit.markup.rendering import sentence

    for name, answer in result.answer.items():
        say(f"[bold]{escape(name)}: {escape(answer.label)}[/bold]. {escape(sentence(answer.sentence))}")
        if answer.settle:
            say(f"  What would settle it: {escape(sentence(answer.settle))}")


def print_comparison(found: Comparison) -> None:
    """Print what the audits don't share, the answers, the verdicts that changed, and the numbers."""
    from gradaudit.auditing.comparison_section import answered

    for caveat in found.caveats:
        say(f"[bold]Before you compare[/bold]: {escape(caveat)}")
    for row in found.answers.to_dict("records"):
        say(f"[bold]{escape(row['classifier'])}[/bold]: {escape(answered(row))}")
    for row in found.changed.to_dict("records"):
        say(f"{escape(row['classifier'])}, {row['instrument']}: {row['before']} before, {row['after']} after")
    if not len(found.changed):
        say("no verdict changed")
    table = Table(title="Before and after")
    for column in ("classifier", "number", "before", "after", "difference", "change"):
        table.add_column(column, justify="right" if column in ("before", "after", "difference") else "left")
    for row in found.table.to_dict("records"):
        ends = (_with_interval(row[when], row[f"{when}_low"], row[f"{when}_high"]) for when in ("before", "after"))
        difference = _with_interval(row["difference"], row["difference_low"], row["difference_high"], "+.3f")
        table.add_row(escape(row["classifier"]), escape(row["measure"]), *ends, difference, row["change"])
    console().print(table)
    for who, one in found.disagreement.items():
        say(f"[bold]what the one {who} sees and the other does not[/bold]: {escape(one.verdict.sentence)}")


def _prepared(asked: Request, words: Mapping[str, Any]) -> Audit:
    from gradaudit.auditing import prepare_audit
    from gradaudit.auditing.files import read_classifier
    from gradaudit.classifiers import in_order
    from gradaudit.datasets import blocks, load_images
    from gradaudit.diffusion import load_denoiser

    training, testing = load_images(asked.data, folder=asked.data_dir, seed=asked.seed, on_error=asked.on_error)
    if asked.classes is not None:
        training, testing = in_order(training, asked.classes), in_order(testing, asked.classes)
    framed = blocks(testing[:1])
    read = {name: read_classifier(f"classifiers[{name}]", value, testing) for name, value in asked.classifiers.items()}
    if asked.classes is None:
        training, testing = in_their_order([classifier for classifier, _ in read.values()], training, testing)
    return prepare_audit(
        {name: classifier for name, (classifier, _) in read.items()},
        training,
        testing,
        preset=asked.preset,
        denoiser=None if asked.denoiser is None else load_denoiser(asked.denoiser),
        robust=None if asked.robust is None else read_classifier("robust", asked.robust, testing)[0],
        oracles={name: read_classifier(f"oracles[{name}]", value, testing)[0] for name, value in asked.oracles.items()},
        on_blocks={name: read_classifier(f"on_blocks[{name}]", value, framed)[0] for name, value in asked.on_blocks.items()},
        recipes={name: recipe for name, (_, recipe) in read.items() if recipe is not None},
        options=asked.options,
        seed=asked.seed,
        store=words["store"],
        workers=workers_of(words["workers"]),
        backend=backend_of(words["backend"], words["address"]),
        device=words["device"],
        memory=words["memory"],
        show_progress=True,
    )


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _named(argument: str, texts: list[str]) -> dict[str, str]:
    """NAME=CLASSIFIER by name; a classifier without a name is called by itself."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        named = bool(sign) and "(" not in name and "/" not in name
        name, value = (name, value) if named else (text, text)
        require(bool(name) and bool(value) and not value.endswith(".toml"), argument, text, NAMED)
        require(name not in found, argument, text, "classifiers of different names")
        found[name] = value
    return found


def _numbers(scores: pd.DataFrame) -> Table:
    names = [*dict.fromkeys(scores["classifier"])]
    table = Table(title="One number of each instrument; trust a classifier more where it is larger (+) or smaller (-)")
    table.add_column("number")
    table.add_column("")
    for name in names:
        table.add_column(escape(str(name)), justify="right")
    for measure, rows in scores.groupby("measure", sort=False):
        by_name = {row["classifier"]: row for row in rows.to_dict("records")}
        cells = [
            _with_interval(*(by_name[name][key] for key in ("value", "low", "high"))) if name in by_name else "-" for name in names
        ]
        table.add_row(escape(str(measure)), "+" if rows["better"].iloc[0] > 0 else "-", *cells)
    return table


def _with_interval(value: float, low: float, high: float, form: str = ".3f") -> str:
    ends = "" if low != low else f" [{low:{form}}, {high:{form}}]"
    return f"{value:{form}}" + ends.replace("[", r"\[")


def _print_skipped(skipped: Any) -> None:
    for name, reasons in skipped.items():
        for kind, reason in reasons.items():
            say(f"{escape(name)}: {kind} left out: {escape(reason)}")
