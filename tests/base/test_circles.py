"""No module imports itself by way of others: read from the source, so imports in functions and for type checkers count too."""

import ast
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import gradaudit

SOURCE = Path(gradaudit.__file__).parents[1]


def modules(source, package):
    """Every module of the package by its name, with its file."""
    files = (source / package).rglob("*.py")
    parts = {file: file.relative_to(source).with_suffix("").parts for file in files}
    return {".".join(part[:-1] if part[-1] == "__init__" else part): file for file, part in parts.items()}


def named(node, package):
    """What an import names, as (module, the name taken from it or None); `package` is where the importing module is."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        yield from ((".".join([*above, *filter(None, [node.module])]), alias.name) for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        yield from ((one.value, None) for one in node.args[:1] if isinstance(one, ast.Constant))


def imports(name, file, known):
    """The modules that this one imports, and the packages outside its own whose `__init__` is run by that."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for module, taken in named(node, package):
            found = f"{module}.{taken}" if f"{module}.{taken}" in known else module
            rooms = [found.rsplit(".", depth)[0] for depth in range(1, found.count(".") + 1)]
            yield found
            yield from (room for room in rooms if not f"{name}.".startswith(f"{room}."))


def graph_of(source, package):
    """For each module those that it imports."""
    known = modules(source, package)
    return {name: {one for one in imports(name, file, known) if one in known} - {name} for name, file in known.items()}


def between_rooms(graph, package):
    """For each module or package that is directly in a package those beside it that it imports, or that something in it does."""

    def beside(name):
        return ".".join(name.split(".")[: package.count(".") + 2])

    found = {}
    for name, others in graph.items():
        if name.startswith(f"{package}."):
            rooms = {beside(other) for other in others if other.startswith(f"{package}.")}
            found.setdefault(beside(name), set()).update(rooms - {beside(name)})
    return found


def circle(graph):
    """A circle as `a -> b -> a`; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""


def circles(graph):
    """A circle of modules, and one of rooms for each package: whichever there are."""
    rooms = (between_rooms(graph, name) for name in graph)
    return [found for found in (circle(graph), *map(circle, rooms)) if found]


def test_no_module_imports_itself_by_way_of_others():
    graph = graph_of(SOURCE, "gradaudit")
    assert "gradaudit.registry" in graph["gradaudit.fills._resolve"]
    found = circles(graph)
    assert not found, "\n".join(found)


CIRCULAR = {
    "at the top": {"a.py": "import p.b", "b.py": "import p.a"},
    "in a function": {"a.py": "import p.b", "b.py": "def f():\n    from p.a import x\n"},
    "for type checkers": {"a.py": "from p.b import x", "b.py": "import typing\nif typing.TYPE_CHECKING:\n    import p.a\n"},
    "relative": {"a.py": "from . import b", "b.py": "from .a import x"},
    "by text": {"a.py": "import importlib\nimportlib.import_module('p.b')", "b.py": "from p import a"},
    "of three": {"a.py": "import p.b", "b.py": "import p.c", "c.py": "import p.a"},
}


def written(folder, files):
    for name, text in {"__init__.py": "", **files}.items():
        (folder / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "p" / name).write_text(text)
    return folder


@pytest.mark.parametrize("files", CIRCULAR.values(), ids=CIRCULAR)
def test_a_circle_is_found_and_named(tmp_path, files):
    graph = graph_of(written(tmp_path, files), "p")
    way = circles(graph)[0].split(" -> ")
    assert way[0] == way[-1]
    assert set(way) == {f"p.{name.removesuffix('.py')}" for name in files}
    assert all(other in graph[one] for one, other in pairwise(way))


def test_a_circle_through_the_init_of_a_package_is_found(tmp_path):
    files = {"q/__init__.py": "from p.q.inner import x", "q/inner.py": "import p.a", "q/other.py": "", "a.py": "import p.q.other"}
    found = circles(graph_of(written(tmp_path, files), "p"))
    assert set(found[0].split(" -> ")) == {"p.q", "p.q.inner", "p.a"}


def test_two_packages_that_need_each_other_are_a_circle_though_their_modules_are_none(tmp_path):
    rooms = {"q/__init__.py": "", "r/__init__.py": ""}
    files = {"q/a.py": "import p.r.a", "r/a.py": "", "r/b.py": "import p.q.b", "q/b.py": ""}
    (found,) = circles(graph_of(written(tmp_path, rooms | files), "p"))
    assert set(found.split(" -> ")) == {"p.q", "p.r"}


def test_a_package_that_gathers_its_modules_is_no_circle(tmp_path):
    files = {"q/__init__.py": "from p.q.a import x", "q/a.py": "from p.q.b import x", "q/b.py": "import p.c", "c.py": "import json"}
    assert circles(graph_of(written(tmp_path, files), "p")) == []
