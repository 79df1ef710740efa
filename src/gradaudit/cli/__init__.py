"""The command line: one command an instrument; parse, call, print."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from gradaudit.cli import (
    _options,
    audit,
    demo,
    listings,
    train,
    train_autoencoder,
    train_denoiser,
)
from gradaudit.cli._endings import Ending, end_now, ending
from gradaudit.cli._instruments import command as command_of
from gradaudit.errors import InputError, MissingExtraError, StoreError, TrainingError, WorkerError
from gradaudit.instruments.contract import about, names

UsageError: Any = typer.BadParameter.__mro__[1]  # Click's, wherever Typer keeps its Click
INTERRUPTED = 130  # what Typer makes of a keyboard interrupt

app = typer.Typer(
    name="gradaudit",
    help="Can this image classifier's gradients be trusted?\n\n"
    "Start with `gradaudit demo`. Then audit your own model: "
    "`gradaudit audit mine=my_package.my_module:my_model --data cifar10`.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (
    demo.demo,
    audit.audit,
    audit.compare,
    train.train,
    train_denoiser.train_denoiser,
    train_autoencoder.train_autoencoder,
    audit.schema,
):
    app.command()(command)
for name in names():
    if about(name).command is not None:
        app.command(name.replace("_", "-"), rich_help_panel="Instruments")(command_of(about(name)))
for command in (
    listings.names,
    listings.data,
    listings.networks,
    listings.recipes,
    listings.listing("objectives", "List the training objectives."),
    listings.listing("attributions", "List the attributions and controls."),
    listings.listing("fills", "List what DiffROAR puts where features were removed."),
    listings.listing("attacks", "List the attacks and their kin."),
    listings.listing("gradients", "List the gradients that alignment compares."),
    listings.listing("scores", "List the denoiser's scores that alignment compares them with."),
    listings.listing("similarities", "List how alignment compares them."),
    listings.listing("methods", "List the methods of making counterfactuals."),
):
    app.command(rich_help_panel=listings.PANEL)(command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gradaudit {version('gradaudit')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _without_a_command(
    context: typer.Context,
    shown: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: a user's mistake is one line and exit status 2, killed workers 1, Ctrl-C 130, SIGTERM 143."""
    last = arguments is None  # the process has nothing else to do
    _options.command_line[:] = sys.argv[1:] if arguments is None else arguments
    _prepare()
    with ending(last) as found:
        try:
            status = app(args=list(_options.command_line), prog_name="gradaudit", standalone_mode=False)
        except BaseException as error:
            if not found.came:
                _explain(error)
            status = INTERRUPTED
        if status == INTERRUPTED:
            _stop(found)
    if last:
        end_now(status or 0)
    raise SystemExit(status or 0)


def _prepare() -> None:
    """Have what a machine may lack or be strange in end no run: open streams, their encoding, Matplotlib's windows and folders."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ["MPLBACKEND"] = "agg"
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _explain(error: BaseException) -> NoReturn:
    if isinstance(error, UsageError):
        _end(f"error: {' '.join(error.format_message().split())}", 2)
    if isinstance(error, WorkerError):
        _end(f"error: {error}", 1)
    if isinstance(error, (InputError, MissingExtraError, StoreError, TrainingError)):
        _end(f"error: {error}", 2)
    raise


def _stop(found: Ending) -> NoReturn:
    if found.came:
        found.leave(found.status)
    found.tell()
    raise SystemExit(found.status) from None


def _end(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(status) from None
