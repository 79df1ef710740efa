"""Where the numbers are computed: the device, its threads, its precision, and batch sizes that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch

from gradaudit.errors import InputError, first_line, require
from gradaudit.recipe_fields import Precision


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device for `"auto"` (CUDA where there is one, then the CPU), or the named one.

    Raises:
        InputError: torch does not know it, or this machine lacks it.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        expected = f'"auto", "cpu", "cuda" or another that works here ({first_line(error)})'
        raise InputError("device", str(device), expected) from error
    return found


def resolve_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """`"bf16"` for `"auto"` where the hardware multiplies bf16 matrices natively, as far as torch can tell, else `"fp32"`.

    The choice rests on the hardware alone, never on a timing, so that a machine always gives the same numbers.

    Raises:
        InputError: `precision` is none of the three.
    """
    require(precision in ("auto", "fp32", "bf16"), "precision", precision, '"auto", "fp32" or "bf16"')
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() and _has_bf16_units() else "fp32"
    return "fp32"


def _has_bf16_units() -> bool:
    capability: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch can't tell
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16") or capability.get("bf16"))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on a single CPU thread inside, denormals as zero: a fit gives the same numbers however many run beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # denormals would slow a converged learner tenfold
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Draw from `seed` inside, and leave the caller's random state as it was."""
    device = torch.device(device)
    devices = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
