"""A piece of work in a process of its own, and the memory that it takes."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work returns in a fresh process.

    Raises:
        RuntimeError: the process died.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, work, *arguments))
    process.start()
    sender.close()  # so that a child which dies is noticed
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"the process that was to do {work.__name__} died") from None
    finally:
        process.join()


def reset_peak() -> int:
    """The resident size in bytes, from which the peak is counted anew; what was freed goes back to the system first. Linux only."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else memory that was freed before would be used again unseen
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> int:
    """The largest resident size in bytes since `reset_peak`. Linux only."""
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _send(sender: Any, work: Callable[..., Any], *arguments: Any) -> None:
    sender.send(work(*arguments))
