"""In the environment of `make test-integrations` no library is missing, so that no test beside this one skips for want of it."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("GRADAUDIT_INTEGRATIONS" not in os.environ, reason="make test-integrations has the libraries")

CONSTRAINTS = Path(__file__).parents[2] / "constraints-integrations.txt"
MODULES = {
    "captum": "captum.attr",
    "datasets": "datasets",
    "foolbox": "foolbox",
    "grad-cam": "pytorch_grad_cam",
    "lpips": "lpips",
    "pyautoattack": "pyautoattack",
    "quantus": "quantus",
    "robustbench": "robustbench",
    "timm": "timm",
    "torch": "torch",
    "torchattacks": "torchattacks",
    "torchmetrics": "torchmetrics",
    "torchvision": "torchvision.models",
    "transformers": "transformers",
}


@pytest.mark.parametrize("library", MODULES)
def test_a_library_is_there_at_the_version_of_the_constraints(library):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        import_module(MODULES[library])
    assert f"{library}=={version(library)}" in CONSTRAINTS.read_text().splitlines()
