import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gradaudit.diffusion.load import load_denoiser
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.errors import InputError

# A network with the interface of EDM's, in images of [-1, 1] and one-hot classes, kept where only an import can reach it.
NETWORK = """
import torch
from torch import nn

from gradaudit.diffusion.mixture import gaussian_mixture


class EDMPrecond(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.img_resolution, self.img_channels, self.label_dim = 4, 1, 3
        self.sigma_min, self.sigma_max = 0.002, 80.0

    def forward(self, x, sigma, class_labels=None):
        mixture = gaussian_mixture(classes=3, shape=(1, 4, 4), seed=1)
        labels = None if class_labels is None else class_labels.argmax(dim=1)
        return (2 * mixture.denoised((x + 1) / 2, sigma / 2, labels) - 1).float() * self.scale
"""


class Booby:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.mark), "w")


@pytest.fixture
def pickled(tmp_path: Path, run_program: Callable[..., Any]) -> Path:
    """A pickle that another process wrote, with its class in a folder that is not on this one's path."""
    (tmp_path / "nvidia").mkdir()
    (tmp_path / "nvidia" / "edm_networks.py").write_text(NETWORK)
    script = "import pickle, sys, edm_networks; pickle.dump({'ema': edm_networks.EDMPrecond()}, open(sys.argv[1], 'wb'))"
    assert run_program(script, tmp_path / "edm.pkl", cwd=tmp_path / "nvidia").returncode == 0
    return tmp_path / "edm.pkl"


def test_a_pickle_is_not_run_unless_asked(tmp_path: Path) -> None:
    path, mark = tmp_path / "edm.pkl", tmp_path / "mark"
    path.write_bytes(pickle.dumps({"ema": Booby(mark)}))
    with pytest.raises(InputError, match=r"`source`.*runs whatever code it carries") as caught:
        load_denoiser(path)
    assert "allow_pickle=True" in str(caught.value)
    assert 'load_denoiser("your_module:denoiser")' in str(caught.value)
    assert not mark.exists()


def test_a_booby_trapped_checkpoint_is_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "adm.pt", tmp_path / "mark"
    torch.save({"ema": Booby(mark)}, path)
    with pytest.raises(InputError, match=r"`source`.*could run any code"):
        load_denoiser(path)
    assert not mark.exists()


def test_a_pickle_is_read_when_asked(pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"`source`.*repository, with edm_networks, on PYTHONPATH"):
        load_denoiser(pickled, allow_pickle=True)
    monkeypatch.syspath_prepend(str(pickled.parent / "nvidia"))
    denoiser = load_denoiser(pickled, allow_pickle=True)
    assert (denoiser.shape, denoiser.classes) == ((1, 4, 4), 3)
    mixture = gaussian_mixture(classes=3, shape=(1, 4, 4), seed=1)
    images, labels = mixture.draw(3, seed=2)
    sigma = torch.tensor([0.05, 0.4, 2.0])
    with torch.no_grad():
        for given in (None, labels):
            torch.testing.assert_close(denoiser(images, sigma, given), mixture.denoised(images, sigma, given), atol=1e-5, rtol=0)
        with pytest.raises(InputError, match=r"`sigma`.*from 0.001 to 40"):
            denoiser(images, 50.0)


def test_what_is_no_edm_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edm.pkl"
    path.write_bytes(pickle.dumps({"ema": 3}))
    with pytest.raises(InputError, match=r'`source`.*module under "ema", not a int'):
        load_denoiser(path, allow_pickle=True)
    path.write_bytes(b"\x80\x04 damaged")
    with pytest.raises(InputError, match=r"`source`.*readable pickle"):
        load_denoiser(path, allow_pickle=True)
    with pytest.raises(InputError, match=r"`source`.*exists"):
        load_denoiser(tmp_path / "missing.pkl", allow_pickle=True)
