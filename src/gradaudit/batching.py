"""Images through a classifier in batches that fit in memory, and the classifier left as it was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from gradaudit.errors import InputError, require
from gradaudit.memory import USUAL, memory_budget

Work = TypeVar("Work")

CPU_CAP = 256  # beyond this a CPU's caches overflow and an image costs more, not less
CUDA_SHARE = 0.25
CUDA_CAP = 1024


@contextmanager
def evaluating(classifier: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module has the mode that it had."""
    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def frozen(classifier: nn.Module) -> Iterator[None]:
    """Gradients towards the images alone inside: evaluation mode, constant parameters, grad mode on whatever the caller's.

    Constant parameters keep autograd from saving what only their gradients need. All flags are restored.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    with evaluating(classifier), torch.inference_mode(False), torch.enable_grad():
        try:
            for parameter, _ in flags:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)


def placed(classifier: nn.Module, images: Tensor) -> Tensor:
    """A copy of the images on the classifier's device and in its floating-point dtype, detached from any graph."""
    for weight in _weights(classifier):
        if weight.is_floating_point():
            return images.detach().to(weight.device, weight.dtype, copy=True)
    return images.detach().clone()


def check_logits(logits: object, images: Tensor) -> Tensor:
    """The logits, after checking that a classifier returned (N, K) of them.

    Args:
        logits: what the classifier returned for `images`.
        images: floats (N, C, H, W).

    Raises:
        InputError: not a floating-point tensor, another shape, or a single logit an image.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise InputError("classifier", type(logits).__name__, "a module that returns logits as one floating-point tensor")
    shape = tuple(logits.shape)
    expected = f"a module that returns logits of shape ({len(images)}, K) for {len(images)} images"
    require(logits.ndim == 2 and shape[0] == len(images), "classifier", f"returned {shape}", expected)
    require(shape[1] >= 2, "classifier", f"returned {shape}", "a module that returns at least 2 logits an image")
    return logits


def probabilities(classifier: nn.Module, images: Tensor) -> Tensor:
    """The softmax (N, K) in float64, so that small changes are not rounded away after the logits.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W), which noise may have taken out of [0, 1].

    Raises:
        InputError: logits that are NaN or infinite, or as `check_logits`.
    """
    logits = check_logits(classifier(placed(classifier, images)), images)
    expected = "one with finite logits at noisy images too, which may leave [0, 1]; it returned NaN or infinity"
    require(bool(logits.isfinite().all()), "classifier", type(classifier).__name__, expected)
    return logits.double().softmax(dim=1)


def batch_size_for(
    classifier: nn.Module,
    images: Tensor,
    *,
    device: torch.device | str,
    budget: int | None = None,
    factor: float = 2.0,
) -> int:
    """The number of images whose gradients fit in memory at once: a power of two, at most 256 on a CPU, 1024 on CUDA.

    It rests on the classifier, the kind of machine and the memory allowed alone, never on how busy that is: it is the same each
    time.

    Args:
        classifier: any module; its flags are untouched.
        images: one or two sample images, floats (n, C, H, W).
        device: where the work will be done.
        budget: bytes to use; what `memory_limit` or `$GRADAUDIT_MEMORY` says, else 512 MiB on a CPU, a quarter of
            the memory on CUDA.
        factor: bytes that the work needs at its peak for each byte that autograd saves; the gradients of activations
            live beside the saved activations, hence 2.
    """
    device = torch.device(device)
    cuda = device.type == "cuda"
    if budget is None:
        budget = memory_budget() or _usual(device)
    fits = int(budget / (factor * bytes_per_image(classifier, images)))
    return 1 << int(math.log2(min(max(1, fits), CUDA_CAP if cuda else CPU_CAP)))


def _usual(device: torch.device) -> int:
    """The bytes to use where nobody says."""
    return int(CUDA_SHARE * torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else USUAL


def forward_size(classifier: nn.Module, images: Tensor, *, device: torch.device, most: int) -> int:
    """As `batch_size_for`, but on a CPU at most so many images: where the way forward alone is fastest at some number of them."""
    size = batch_size_for(classifier, images, device=device)
    return min(size, most) if device.type == "cpu" else size


def bytes_per_image(classifier: nn.Module, images: Tensor) -> float:
    """Bytes that autograd saves for one image on the way to its input gradient, the image and its gradient included."""
    with frozen(classifier):
        inputs = placed(classifier, images).requires_grad_()
        saved = saved_bytes(classifier, lambda: classifier(inputs))
    return (saved + 2 * inputs.nbytes) / len(images)


def saved_bytes(module: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes that autograd saves on a way forward, the module's weights not counted."""
    weights = {weight.untyped_storage().data_ptr() for weight in _weights(module)}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()  # held so that no saved address is freed and counted twice
    del kept
    return sum(saved.values())


def most_saved_bytes(module: nn.Module, work: Callable[[], object]) -> int:
    """The most bytes that autograd keeps saved at a time while the work is done, the module's weights not counted.

    Unlike `saved_bytes` it lets go of what the work lets go: of the steps of an attack, one after the other, it counts one.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in _weights(module)}
    ledger = _Ledger()

    def pack(tensor: Tensor) -> Tensor | _Saved:
        return tensor if tensor.untyped_storage().data_ptr() in weights else _Saved(tensor, ledger)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda found: found.tensor if isinstance(found, _Saved) else found):
        kept = work()
    del kept
    return ledger.most


class _Ledger:
    """Storages that are saved now, by how many tensors, and the most bytes that they had together."""

    def __init__(self) -> None:
        self.tensors: dict[int, int] = {}
        self.now = self.most = 0

    def enter(self, address: int, size: int) -> None:
        """One more tensor of the storage is saved."""
        self.now += 0 if address in self.tensors else size
        self.tensors[address] = self.tensors.get(address, 0) + 1
        self.most = max(self.most, self.now)

    def leave(self, address: int, size: int) -> None:
        """One less."""
        self.tensors[address] -= 1
        if not self.tensors[address]:
            del self.tensors[address]
            self.now -= size


class _Saved:
    """A tensor that autograd saved, for as long as it does."""

    def __init__(self, tensor: Tensor, ledger: _Ledger) -> None:
        storage = tensor.untyped_storage()
        self.tensor, self.ledger, self.storage = tensor, ledger, (storage.data_ptr(), storage.nbytes())
        ledger.enter(*self.storage)

    def __del__(self) -> None:
        self.ledger.leave(*self.storage)


def halving(work: Callable[[slice], Work], total: int, size: int) -> Iterator[tuple[slice, Work]]:
    """Each slice of `range(total)` with the work done on it; when memory runs out, the slice is tried again at half the size.

    Args:
        work: takes a slice of at most `size` images.
        total: the number of images.
        size: the number of images to begin with, 1 or more.

    Raises:
        RuntimeError: a single image does not fit; torch's own error.
    """
    start = 0
    while start < total:
        chunk = slice(start, min(start + size, total))
        fits = True
        try:
            done = work(chunk)
        except RuntimeError as error:
            size = chunk.stop - chunk.start
            if size == 1 or not out_of_memory(error):
                raise
            fits = False
        if fits:
            yield chunk, done
            start = chunk.stop
        else:  # out of the handler, which would keep the failed attempt's tensors alive
            size //= 2
            torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _weights(classifier: nn.Module) -> Iterator[Tensor]:
    yield from classifier.parameters()
    yield from classifier.buffers()
