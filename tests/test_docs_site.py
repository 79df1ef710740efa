"""The site: built without a warning, complete, with links that lead somewhere and nothing fetched from elsewhere."""

import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import typer

import gradaudit as ga
from gradaudit.cli import app
from gradaudit.registry import Registry, imported

pytest.importorskip("sphinx", reason="the site needs Sphinx: pip install 'gradaudit[docs]'")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "docs"


@pytest.fixture(scope="module", name="site")
def site_fixture(tmp_path_factory):
    """The folder of the site, and what Sphinx had to say."""
    out = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(SOURCE), str(out))
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    return out


class Links(HTMLParser):
    """The ids of a page, where it leads, and what a browser loads for it."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.leads, self.loads = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and "href" in found:
            self.leads.add(found["href"])
        self.loads |= {found["src"]} if "src" in found and not found["src"].startswith("data:") else set()
        self.loads |= {found["href"]} if tag == "link" and found["rel"] in ("stylesheet", "icon", "preload") else set()


@pytest.fixture(scope="module", name="pages")
def pages_fixture(site):
    return {page: Links(page.read_text(encoding="utf-8")) for page in site.rglob("*.html") if "_static" not in page.parts}


@pytest.mark.slow
def test_every_page_is_there(pages, site):
    found = [*SOURCE.rglob("*.md"), *SOURCE.rglob("*.ipynb")]
    sources = [page.relative_to(SOURCE) for page in found if not {"_build", "jupyter_execute"} & set(page.parts)]  # what was built
    assert {site / source.with_suffix(".html") for source in sources} <= set(pages)


@pytest.mark.slow
def test_links_lead_somewhere(pages, site):
    broken = []
    for page, found in pages.items():
        for link in found.leads:
            if "://" in link:
                continue
            file, anchor = urldefrag(unquote(link))
            target = (page.parent / file).resolve() if file else page
            known = pages[target].ids if target in pages else set()
            if not target.exists() or (anchor and anchor not in known):
                broken.append((page.name, link))
    assert broken == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(pages):
    loaded = {page.parent / link.partition("?")[0] for page, found in pages.items() for link in found.loads}
    assert [file for file in loaded if not file.exists()] == []
    assert any(file.suffix == ".css" for file in loaded)


@pytest.mark.slow
def test_every_public_name_is_described(pages, site):
    ids = pages[site / "reference" / "python.html"].ids
    assert [name for name in ga.__all__ if f"gradaudit.{name}" not in ids] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", typer.main.get_command(app).commands)
def test_every_command_is_described(site, name):
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    section = re.search(rf'<section id="{name}">(.*?)</section>', text, flags=re.DOTALL)
    assert section is not None
    options = [option for one in typer.main.get_command(app).commands[name].params for option in one.opts]
    assert [option for option in options if option not in section[1]] == []


def test_everything_with_a_name_is_listed():
    page = (SOURCE / "reference" / "names.md").read_text(encoding="utf-8")
    listed = {imported("path", path).package for path in re.findall(r"{named} (\S+)", page)}
    every = (found.name for found in pkgutil.walk_packages(ga.__path__, "gradaudit."))
    modules = [import_module(name) for name in every if not name.startswith("gradaudit.peers.")]  # each needs another library
    made = {value.package for module in modules for value in vars(module).values() if isinstance(value, Registry)}
    assert made == listed
