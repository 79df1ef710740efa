"""How the site is built: `make docs`, or `sphinx-build -W --keep-going docs docs/_build`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

project = "gradaudit"
author = "The gradaudit authors"
project_copyright = author
version = release = version_of("gradaudit")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "audit_file",
    "command_line",
    "mathml",
    "named_things",
    "plain_docstrings",
    "public_names",
    "result_files",
]
exclude_patterns = ["jupyter_execute", "_build", "_site"]

nb_execution_mode = "off"  # a notebook is shown as it is stored; the tests run it
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_static_path = ["_site/static"]
html_css_files = ["equations.css"]
html_title = "gradaudit"
html_copy_source = False
html_show_sphinx = False
