"""The notebook: as it is stored, and run from its first cell to its last in a real kernel."""

import copy
import os
import warnings
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs Jupyter: pip install 'gradaudit[dev]'")
nbclient = pytest.importorskip("nbclient", reason="needs Jupyter: pip install 'gradaudit[dev]'")

FILE = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
LABELS = ("AuditResult(", "'")  # how outputs begin that are labels alone, and no numbers of this machine


@pytest.fixture(name="stored")
def stored_fixture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own libraries
        return nbformat.read(FILE, as_version=4)


def outputs(notebook):
    return [one for cell in notebook.cells for one in cell.get("outputs", ())]


def texts(notebook):
    return [one["data"]["text/plain"] for one in outputs(notebook) if "data" in one]


def labels(notebook):
    return [text for text in texts(notebook) if text.startswith(LABELS)]


def test_the_stored_notebook_is_small_whole_and_of_no_machine(stored):
    assert FILE.stat().st_size < 600_000
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    kinds = {one.output_type if one.output_type != "stream" else one.name for one in outputs(stored)}
    assert kinds == {"execute_result", "display_data", "stdout"}  # no error, nothing on standard error
    assert not [word for word in ("/home/", "/root/", "/tmp/", "ipykernel_") if word in FILE.read_text(encoding="utf-8")]


def test_the_stored_notebook_shows_the_answer_a_table_a_figure_and_a_bar(stored):
    shown = "".join(one.get("data", {}).get("text/html", "") for one in outputs(stored))
    assert labels(stored)[0].startswith(f"AuditResult(mine: {labels(stored)[1].strip(chr(39))}; mine, diffroar: ")
    assert [part for part in ("<strong>mine: ", "<table", "<img alt=", "<progress ", "<details>") if part not in shown] == []


@pytest.mark.slow
def test_the_notebook_runs_and_says_what_is_stored(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    again = copy.deepcopy(stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = nbclient.NotebookClient(again, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
        client.execute()  # a cell that fails is an error
    assert labels(again) == labels(stored)
    assert len(labels(again)) == 2
    assert [one.output_type for one in outputs(again)] == [one.output_type for one in outputs(stored)]
