"""The benchmarks of this folder, as their docstrings describe them.

A benchmark is a script whose docstring begins with `Claim:` or `Question:` and has `Run:` with its command in backticks and about
how long it takes. In the command, `DATA` and `WEIGHTS` stand for folders, `--device cuda` for a GPU, `[...]` for what may be left
out, and any other word in capitals for what only its user has.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from _record import claim_of

HERE = Path(__file__).parent
FOLDERS = {"DATA": "GRADAUDIT_DATA", "WEIGHTS": "GRADAUDIT_WEIGHTS"}  # the variables that the scripts read, too
RUN = re.compile(r"\bRun:\s+`([^`]+)`[.;,]?\s*(.*)", flags=re.DOTALL)
WORDS = r"(?:[^.;,()]|\.\b)*"
LONG = re.compile(rf"{WORDS}\b(?:seconds?|minutes?|hours?)\b{WORDS}", flags=re.IGNORECASE)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Args:
        path: of its script.
        claim: or question.
        command: as its docstring has it, without what may be left out.
        about: how long it takes.
        short: whether it has a trial, `--short`.
    """

    path: Path
    claim: str
    command: str
    about: str
    short: bool

    @property
    def name(self) -> str:
        """Its file's, without the ending."""
        return self.path.stem

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its command sets."""
        words = shlex.split(self.command)
        return dict(word.split("=", 1) for word in words[: words.index("python")])

    @property
    def arguments(self) -> list[str]:
        """What follows the script's name; folders are left to the variables that name them."""
        words = shlex.split(self.command)
        words = words[words.index("python") + 2 :]
        folders = {place for place, word in enumerate(words) if word in FOLDERS}
        return [word for place, word in enumerate(words) if place not in folders and place + 1 not in folders]

    @property
    def needs(self) -> tuple[str, ...]:
        """What it can't do without: `"data"`, `"weights"`, `"a GPU"`, or a word that only its user can replace."""
        words = shlex.split(self.command)
        named = [word.lower() if word in FOLDERS else word for word in words if re.fullmatch(r"[A-Z_]{3,}", word)]
        return (*named, *(["a GPU"] if "--device cuda" in self.command else []))

    def why_not(self, short: bool = False) -> str:
        """Why it can't run here; empty where it can."""
        if short and not self.short:
            return "has no short version"
        for need in self.needs:
            variable = FOLDERS.get(need.upper())
            if variable and not os.environ.get(variable):
                return f"needs {need}: set {variable}"
            if need == "a GPU" and not shutil.which("nvidia-smi"):
                return "needs a GPU"
            if need.isupper():
                return f"needs {need}, which only you have: run it by hand"
        return ""


def catalogue(folder: Path = HERE) -> dict[str, Benchmark]:
    """All benchmarks by name, in the order of their names; a new file is found by its docstring."""
    found = (read(path) for path in sorted(folder.glob("[!_]*.py")))
    return {one.name: one for one in found if one is not None}


def read(path: Path) -> Benchmark | None:
    """The benchmark that the script is, or None."""
    source = path.read_text(encoding="utf-8")
    about = ast.get_docstring(ast.parse(source)) or ""
    said = RUN.search(about)
    if not about.startswith(("Claim: ", "Question: ")) or said is None:
        return None
    command = " ".join(re.sub(r"\[[^\]]*\]", "", said[1]).split())
    long = LONG.search(" ".join(said[2].split()))
    short = '"--short"' in source or "benchmark_parser(" in source
    return Benchmark(path, claim_of(about), command, _uncapitalised(long[0].strip()) if long else "", short)


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
