"""The commands, benchmarks and links that the README and the documents name are there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from gradaudit.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(?:bash)?\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def commands(text):
    for block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("gradaudit "):
                yield line


COMMANDS = [pytest.param(line, id=f"{page.stem}: {line}") for page in PAGES for line in commands(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_read(line):
    _, name, *arguments = shlex.split(line, comments=True)
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments)  # refuses an option that there is not


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_benchmarks_of_a_page_are_there(page):
    named = set(re.findall(r"benchmarks/\w+\.py", page.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_files_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
