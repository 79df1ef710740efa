"""A bare checkout made ready for `gpu.py`: wheels from a folder, `src` on the path. Needs nothing but Python and pip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import import_module, invalidate_caches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = (  # a module of each package that gradaudit can't do without, and two that bring others along
    *("torch", "numpy", "scipy", "pandas", "matplotlib", "sklearn", "jinja2", "joblib", "PIL", "fsspec"),
    *("captum", "diffusers", "mlxtend", "pydantic", "rich", "typer", "platformdirs", "safetensors"),
)


def lacking(modules: Iterable[str] = IMPORTS) -> dict[str, str]:
    """The modules that can't be imported, and why."""
    found = {}
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # a library may fail in any way where one of its own is absent or of another build
            lines = str(error).splitlines()
            found[name] = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return found


def ready(wheels: Path | None, site: Path, modules: Iterable[str] = IMPORTS) -> str:
    """Put `src`, and what the wheels hold where an import fails, on the path of this process and of those that it starts.

    Args:
        wheels: a folder of wheels, or None.
        site: the folder that they are installed into.
        modules: that must be there.

    Returns:
        What is missing, in one line; empty where nothing is.
    """
    site.mkdir(parents=True, exist_ok=True)
    modules = tuple(modules)
    before = in_new_process(modules) if wheels else lacking(modules)
    said = install(wheels, site) if wheels and before else ""
    describe_checkout(site)
    folders = [str(site), str(ROOT / "src")]
    sys.path[:0] = folders
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *filter(None, [os.environ.get("PYTHONPATH")])])
    invalidate_caches()
    missing = lacking(modules) if wheels else before
    if not missing:
        return ""
    names = "; ".join(f"{name} ({why})" for name, why in missing.items())
    helped = f", not in the wheels of {wheels.name}{f' ({said})' if said else ''}" if wheels else ": carry wheels and give --wheels"
    return f"missing here: {names}{helped}"


def in_new_process(modules: tuple[str, ...]) -> list[str]:
    """The modules that can't be imported, tried elsewhere: what a failed import leaves behind would stay in this process."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import _gpu_setup; print(*_gpu_setup.lacking({modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    return ran.stdout.split() if ran.returncode == 0 else list(modules)


def install(wheels: Path, site: Path) -> str:
    """Install the wheels of the folder, without an index; what pip said where it failed, in one line."""
    names = sorted({re.sub(r"[-_.]+", "-", path.name.partition("-")[0]) for path in wheels.glob("*.whl")})
    if not names:
        return "there is none"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    # One by one, so that a wheel for another Python, which may not be needed, does not hinder the others.
    failed = {}
    for name in [None, *names]:
        wanted = names if name is None else [name]
        ran = subprocess.run(
            [*command, "--upgrade", "--find-links", str(wheels), "--target", str(site), *wanted], capture_output=True, text=True
        )
        if name is None and ran.returncode == 0:
            return ""
        if name is not None and ran.returncode:
            failed[name] = ran.stderr.strip().splitlines()[-1:] or ["pip failed"]
    return "; ".join(f"{name}: {said[0]}" for name, said in failed.items())


def describe_checkout(site: Path) -> None:
    """Gradaudit asks for its own version: where it is not installed, the folder says which the checkout is."""
    try:
        version("gradaudit")
    except PackageNotFoundError:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        folder = site / f"gradaudit-{project['version']}.dist-info"
        folder.mkdir(exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: gradaudit\nVersion: {project['version']}\n"
        (folder / "METADATA").write_text(text, encoding="utf-8")
