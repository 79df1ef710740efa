"""For all tests."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

settings.register_profile("gradaudit", deadline=None)  # a first call that imports, or a busy machine, is no failure
settings.load_profile("gradaudit")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: the garbage collector need not look through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


LIBRARIES = ("torch", "pandas", "scipy.stats", "matplotlib.figure", "sklearn", "joblib", "pydantic", "typer")
BEGIN = """
import os, sys
os.setsid()
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
sys.path[:], sys.argv[:] = path, ["-c", *words]
for number in (1, 2):
    os.dup2(os.open(f"{output}.{number}", os.O_WRONLY | os.O_CREAT), number)
exec(compile(code, "<program>", "exec"), {"__name__": "__main__"})
"""


class Ended(NamedTuple):
    """What a program left: its status, negative where a signal ended it, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Program:
    """A program that runs in a process and a group of its own."""

    def __init__(self, process: multiprocessing.process.BaseProcess, output: Path) -> None:
        self.process, self.output, self.pid = process, output, process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = 120) -> Ended:
        self.process.join(timeout)
        assert self.process.exitcode is not None, "it takes too long"
        return Ended(self.process.exitcode, *(Path(f"{self.output}.{number}").read_text() for number in (1, 2)))

    def kill(self) -> None:
        """At once, with nothing said, and waited for."""
        self.process.kill()
        self.process.join()


@pytest.fixture(scope="session", name="_forks")
def forks_fixture():
    """A process that has imported the libraries and nothing of this package, whose forks are as good as a new interpreter.

    A new interpreter has to import them first, which takes three seconds each time.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    return context


@pytest.fixture(name="start_program")
def start_program_fixture(_forks, tmp_path_factory) -> Callable[..., Program]:
    """Start Python's code with words as its arguments, in a folder, with variables of its own (None: without it)."""
    started = []

    def start(code: str, *words: object, cwd: str | Path = ".", **variables: str | None) -> Program:
        output = tmp_path_factory.mktemp("program") / "output"
        given = {"code": code, "words": [str(word) for word in words], "folder": str(Path(cwd).absolute()), "output": str(output)}
        environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
        given |= {"environment": environment, "path": ["", *sys.path]}
        process = _forks.Process(target=exec, args=(BEGIN, given))
        process.start()
        started.append(Program(process, output))
        return started[-1]

    yield start
    for program in started:
        program.kill()


@pytest.fixture(name="run_program")
def run_program_fixture(start_program) -> Callable[..., Ended]:
    """As `start_program`, and waited for."""
    return lambda *words, **how: start_program(*words, **how).wait()
