"""Denoisers of Hugging Face's hub, in the layout of diffusers."""

from __future__ import annotations

from torch import Tensor

from gradaudit.diffusion.adapters.diffusers import WEIGHTS, diffusers
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import InputError, first_line, require


def hub(
    name: str,
    *,
    allow_pickle: bool = False,
    revision: str | None = None,
    prediction: str | None = None,
    schedule: str | Tensor | None = None,
    null_class: int | None = None,
) -> Denoiser:
    """A denoiser of the Hugging Face hub, downloaded to its cache unless it is there.

    Args:
        name: such as "google/ddpm-cifar10-32".
        allow_pickle: also download and read weights in a `.bin` file.
        revision: branch, tag or commit; a commit makes sure that it is the same model another day.
        prediction, schedule, null_class: as `diffusers` takes them.

    Raises:
        InputError: there is no such model or no connection, or the folder is none that `diffusers` reads.
    """
    from huggingface_hub import snapshot_download

    require(name.count("/") == 1 and all(name.split("/")), "source", f"hub:{name}", "hub:ORGANISATION/NAME")
    wanted = ["*.json", f"*{WEIGHTS}*.safetensors", *([f"*{WEIGHTS}*.bin"] if allow_pickle else [])]
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=wanted)
    except (OSError, ValueError) as error:  # the hub's own errors are kinds of these
        expected = f"a model that can be downloaded ({type(error).__name__}: {first_line(error)})"
        raise InputError("source", f"hub:{name}", expected) from error
    return diffusers(folder, allow_pickle=allow_pickle, prediction=prediction, schedule=schedule, null_class=null_class)
