"""Pickles of NVIDIA's EDM, which are refused unless the user opts in."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gradaudit.diffusion.adapters._pixels import Pixels, require_sigma
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import InputError, require

CONVERSION = (
    "a file of tensors only: a pickle runs whatever code it carries when it is loaded. If you trust its author, opt in with "
    """allow_pickle=True. Otherwise convert it once, where it can do no harm, in NVIDIA's repository:
    net = pickle.load(open("edm.pkl", "rb"))["ema"]
    torch.save({"made": dict(net.init_kwargs), "weights": net.state_dict()}, "edm.pt")
and load it by a function of your own, as load_denoiser("your_module:denoiser"):
    def denoiser():
        saved = torch.load("edm.pt", weights_only=True)
        net = training.networks.EDMPrecond(**saved["made"])
        net.load_state_dict(saved["weights"])
        return lambda noisy, sigma, labels: (net(2 * noisy - 1, 2 * sigma) + 1) / 2"""
)


class EDMNetwork(nn.Module):
    """`(noisy, sigma, labels) -> denoised` by a network of EDM's, preconditioned already, of images in [-1, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.classes = int(getattr(network, "label_dim", 0))
        self.pixels = Pixels()
        inner = (float(getattr(network, "sigma_min", 0.0)), float(getattr(network, "sigma_max", float("inf"))))
        self.sigma_range = (inner[0] / self.pixels.width, inner[1] / self.pixels.width)

    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The denoised images; as `Denoiser` calls it."""
        require_sigma(sigma, *self.sigma_range)
        # No class is a vector of zeros there.
        known = None if labels is None else one_hot(labels, self.classes).to(noisy.dtype)
        denoised: Tensor = self.network(self.pixels.inner(noisy), self.pixels.width * sigma, known)
        return self.pixels.outer(denoised.to(noisy.dtype))


def edm_pickle(file: str, *, allow_pickle: bool = False) -> Denoiser:
    """The averaged network in a pickle of NVIDIA's EDM.

    Source: Karras et al. (2022), Elucidating the Design Space of Diffusion-Based Generative Models.

    Args:
        file: `.pkl`.
        allow_pickle: let it run the code that it carries. Only for files whose author you trust.

    Raises:
        InputError: `allow_pickle` is False, NVIDIA's repository is not on Python's path, or the file is no such pickle.
    """
    require(Path(file).is_file(), "source", str(file), "a file that exists")
    require(allow_pickle, "source", str(file), CONVERSION)
    content = _unpickled(file)
    network = content.get("ema") if isinstance(content, Mapping) else content
    if not isinstance(network, nn.Module):
        raise InputError("source", str(file), f'a pickle with a module under "ema", not a {type(network).__name__}')
    core = EDMNetwork(network.float())
    description: dict[str, object] = {"adapter": "edm_pickle", "source": Path(file).name}
    return Denoiser(core, shape=_shape(network), classes=core.classes, description=description)


def _unpickled(file: str) -> Any:
    try:
        with open(file, "rb") as opened:
            return pickle.load(opened)
    except ImportError as error:
        expected = f"a pickle whose modules can be imported: put NVIDIA's repository, with {error.name}, on PYTHONPATH"
        raise InputError("source", str(file), expected) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError("source", str(file), f"a readable pickle ({type(error).__name__}: {error})") from error


def _shape(network: nn.Module) -> tuple[int, int, int] | None:
    side, channels = getattr(network, "img_resolution", None), getattr(network, "img_channels", None)
    if not isinstance(side, int) or not isinstance(channels, int):
        return None
    return channels, side, side
