"""Without the other library there is one error, which names the extra that installs it."""

import sys
from importlib import import_module

import pytest
import torch

import gradaudit as ga
from gradaudit.attributions import resolve_attribution


def test_quantus_is_needed_by_its_module_alone(monkeypatch):
    import_module("gradaudit.peers")
    monkeypatch.setitem(sys.modules, "quantus", None)
    for name in [one for one in sys.modules if one.startswith(("quantus.", "gradaudit.peers.quantus"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ga.MissingExtraError, match=r"`gradaudit.peers.quantus` needs the package `quantus`.*'gradaudit\[quantus\]'"
    ):
        import_module("gradaudit.peers.quantus")


def test_grad_cam_is_needed_when_a_map_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    found = resolve_attribution("gradcam(LayerCAM)")
    assert found.name == "gradcam(method=LayerCAM)"
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 3))
    with pytest.raises(ga.MissingExtraError, match=r"`gradcam` needs the package `grad-cam`.*'gradaudit\[gradcam\]'"):
        found.function(network, torch.rand(1, 1, 8, 8), torch.tensor([0]))
