"""Tasks of a Ray cluster: of this machine, or of as many as it has."""

from __future__ import annotations

import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from gradaudit.errors import InputError, MissingExtraError, WorkerError, first_line, require
from gradaudit.training.backends import _sharing
from gradaudit.training.backends._backend import Backend
from gradaudit.training.store import Store

RETRIES = 20  # of a call whose worker or node died: one that kills its worker each time comes to an end
PATIENCE = 10.0  # seconds until an address counts as dead; Ray itself takes minutes


def ray(store: Store, device: torch.device, *, address: str | None = None, cpus: float = 1.0, gpus: float | None = None) -> Backend:
    """Ray's own tasks, which it schedules, and repeats elsewhere where a node is lost.

    Args:
        store: a URL, or a folder that all machines of the cluster share.
        device: that calls compute on.
        address: of a cluster: `"auto"` for that of this machine, `"host:port"`, or `"ray://host:port"`. Unless given, that in
            `$RAY_ADDRESS`; without one Ray is started on this machine, until this process ends.
        cpus: cores that a call takes; it computes on one thread.
        gpus: share of a GPU that a call takes, so that with 0.25 four share one; unless given 0 on a CPU, 1 on a GPU.

    Raises:
        InputError: a number out of its range, no cluster answers, none of its machines has room for a call, or one of them can't
            reach the store.
        MissingExtraError: Ray is not installed.
    """
    require(_is_number(cpus) and cpus >= 0, "cpus", cpus, "a number, 0 or more")
    good = gpus is None or (_is_number(gpus) and gpus >= 0 and (gpus <= 1 or gpus == int(gpus)))
    require(good, "gpus", gpus, "a share of a GPU in [0, 1], or a whole number of them")
    require(address is None or isinstance(address, str), "address", address, '"auto", "host:port" or "ray://host:port"')
    needs = {"CPU": float(cpus), "GPU": float(device.type == "cuda") if gpus is None else float(gpus)}
    require(any(needs.values()), "cpus", cpus, "above 0 where a fit takes no GPU, or Ray would run all of them at once")
    require(device.index is None or not needs["GPU"], "device", str(device), '"cuda": Ray chooses which of the GPUs')
    _connect(address)
    _check_room(needs)
    _check_store(store)
    return Ray(address, needs)


@dataclass(frozen=True)
class Ray:
    """Tasks on the cluster at an address, each of which needs so much of a machine; see `ray`."""

    address: str | None
    needs: dict[str, float]

    def slots(self) -> int:
        """As many calls as the cluster has room for now."""
        return sum(_room(node, self.needs) for node in _alive())

    def run(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], workers: int) -> Iterator[Any]:
        """As they finish; large arrays go to each machine once.

        Raises:
            WorkerError: a call's worker died again and again.
        """
        library = _connect(self.address)
        call = library.remote(num_cpus=self.needs["CPU"], num_gpus=self.needs["GPU"], max_retries=RETRIES)(_call)
        shared = _sharing.Shared(library.put)
        waiting, running = iter(tasks), set[Any]()
        try:
            while True:
                # Ray is given no more than may run: the other tasks are not even made.
                while len(running) < workers and (task := next(waiting, None)) is not None:
                    running.add(call.remote(*shared.packed((function, *task))))
                if not running:
                    return
                (done,), _ = library.wait([*running], num_returns=1)
                running.remove(done)
                yield _got(library, done)
        finally:
            for reference in running:
                with suppress(Exception):  # whatever became of it
                    library.cancel(reference, force=True)


def _call(packed: bytes, arrays: list[Any]) -> Any:
    """A worker's part."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # Ray's shared arrays can't be written to, and nothing of ours writes to its data.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        function, *arguments = _sharing.unpacked(packed, _ray().get(arrays))
        return function(*arguments)


def _got(library: ModuleType, reference: Any) -> Any:
    try:
        return library.get(reference)
    except library.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from error
        raise
    except library.exceptions.RayError as error:
        raise WorkerError(f"the same call lost its worker {RETRIES + 1} times: {first_line(error)}") from error


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "the backend `ray`") from error
    return ray


def _connect(address: str | None) -> ModuleType:
    """Ray, connected; a connection that this process has already is used as it is."""
    library = _ray()
    if library.is_initialized():
        return library
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(place)
    # What a library must not do unasked: report its use. And on a CPU a fit must not lose sight of the GPU that it shares.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    alone = {"include_dashboard": False} if place == "local" else {}
    try:
        library.init(address=place, log_to_driver=False, logging_level="ERROR", **alone)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise _unreachable(place, error) from error
    return library


def _check_answers(place: str) -> None:
    host, colon, port = place.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise _unreachable(place, error) from error


def _unreachable(place: str, error: BaseException) -> InputError:
    return InputError("address", place, f'"auto", or the address of a Ray cluster that answers ({first_line(error)})')


def _alive() -> list[dict[str, Any]]:
    return [node for node in _ray().nodes() if node["Alive"]]


def _room(node: dict[str, Any], needs: dict[str, float]) -> int:
    """How many calls the machine has room for."""
    return int(min(node["Resources"].get(kind, 0.0) / need for kind, need in needs.items() if need) + 1e-6)


def _check_room(needs: dict[str, float]) -> None:
    wanted = " and ".join(f"{need:g} {kind}" for kind, need in needs.items() if need)
    found = [{kind: node["Resources"].get(kind, 0.0) for kind in needs} for node in _alive()]
    room = any(_room(node, needs) for node in _alive())
    require(room, "backend", found, f"a Ray cluster with a machine that has {wanted}, which a fit takes")


def _check_store(store: Store) -> None:
    """Try the store on every machine of the cluster."""
    library = _ray()
    require(not store.private, "store", store.place, "one that other processes see")
    at = library.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    attempt = library.remote(num_cpus=0)(_reaches)
    with tempfile.NamedTemporaryFile(dir=store.folder, prefix=".seen.", suffix=".part") as token:
        found = {
            node["NodeManagerAddress"]: attempt.options(scheduling_strategy=at(node["NodeID"], soft=True)).remote(
                store.place, store.remote, token.name
            )
            for node in _alive()
        }
        for machine, reference in found.items():
            reason = library.get(reference)
            shared = "a folder that all machines of the Ray cluster share, or a URL that each can open"
            require(not reason, "store", store.place, f"{shared}; {machine} can't ({reason})")


def _reaches(place: str, remote: bool, token: str) -> str:
    """Why the store can't be used on the machine where this runs; "" where it can."""
    if not remote:
        return "" if Path(token).exists() else "there the folder is missing, or another one of this name"
    try:
        Store(place)
    except (InputError, ImportError) as error:
        return str(error)
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
