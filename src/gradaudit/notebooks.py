"""Whether a notebook looks on, and what results show there."""

from __future__ import annotations

import base64
import io
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ROWS = 20  # of a table


def kernel() -> Any:
    """The shell of the notebook in which this runs, Jupyter's or one of its kin; None elsewhere, as in a terminal."""
    library = sys.modules.get("IPython")
    shell = library.get_ipython() if library is not None and hasattr(library, "get_ipython") else None
    return shell if hasattr(shell, "kernel") else None


def without_widgets() -> None:
    """Import tqdm, with which libraries that we use draw their bars, before they do: it warns in a notebook that lacks ipywidgets.

    We draw our own bars, and need none.
    """
    if kernel() is None or find_spec("ipywidgets") is not None:
        return
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.filterwarnings("ignore", "IProgress not found")
        import tqdm.auto  # noqa: F401


def heading(label: str, sentence: str, caveats: Sequence[str]) -> Markup:
    """A verdict as HTML."""
    items = Markup("").join(Markup("<li>but {}</li>").format(caveat) for caveat in caveats)
    return Markup("<p><strong>{}</strong>: {}</p>").format(label, sentence) + (Markup("<ul>{}</ul>").format(items) if items else "")


def folded(words: str, inside: Any) -> Markup:
    """What is shown in full once its words are clicked on."""
    return Markup("<details><summary>{}</summary>{}</details>").format(words, Markup(inside._repr_html_()))


def first_rows(table: pd.DataFrame) -> Markup:
    """The table's first rows as HTML, without empty columns, and how many there are where that is more; wide ones scroll."""
    more = Markup("<p>{:,} of {:,} rows</p>").format(ROWS, len(table)) if len(table) > ROWS else Markup("")
    filled = table.dropna(axis="columns", how="all").head(ROWS)
    rows = filled.to_html(index=False, escape=True, border=0, na_rep="", float_format="{:.4g}".format)
    return Markup('<div style="overflow-x:auto">{}</div>').format(Markup(rows)) + more


def drawn(figure: Figure, words: str) -> Markup:
    """The figure as HTML: an image, so that nothing in it acts on the page."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    source = base64.b64encode(file.getvalue()).decode()
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}" style="max-width:100%;background:white">').format(words, source)
