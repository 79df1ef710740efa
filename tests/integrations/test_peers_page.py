"""The code of docs/peers.md runs, and its numbers are what the page says."""

import re
from pathlib import Path

import pytest

for package in ("quantus", "pytorch_grad_cam"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'gradaudit[quantus,gradcam]'")

PAGE = Path(__file__).parents[2] / "docs" / "peers.md"


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
    names = {"__name__": "page"}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), names)
    found = names["found"]
    assert set(found) == {"gradient", "integrated gradients"}
    assert all(-1 <= one["fidelity"] <= 1 and 0 <= one["contrast"] <= 1 for one in found.values())
    assert names["table"]["attribution"].tolist() == ["logit_gradient", "integrated_gradients", "random", "edges"]
    assert names["result"].audited == ("gradcam", "gradcam(method=LayerCAM)", "finer")
