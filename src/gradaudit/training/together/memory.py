"""How much memory a fit takes, and how much there is."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from gradaudit.devices import seeded
from gradaudit.registry import parse_spec
from gradaudit.training.fitting import autocast, memory_format
from gradaudit.training.objectives.standard import standard
from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member

MOMENTA = {"sgd": 1, "adamw": 2}


def predicted_memory(member: Member, count: int, recipe: Recipe, device: torch.device) -> int:
    """Bytes that one fit holds at its peak: weights, gradients, the optimizer's state, buffers, a batch, what is saved for its
    gradient, and the gradients of the largest of these.

    What is saved is measured on the forward pass of a batch, each storage once. The images of all fits are not counted.

    Args:
        member: the fit.
        count: number of training images.
        recipe: its recipe, of the standard objective.
        device: where it is trained.
    """
    saved: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return value

    with seeded(member.seed, device):
        learner = member.build().to(device)
        learner.to(memory_format=memory_format(learner)).train()  # type: ignore[call-overload]
        images, labels = member.draw(torch.arange(min(count, recipe.batch_size)))
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda value: value), autocast(recipe, device):
            # The loss keeps alive what is saved, so that no two tensors are found at one address.
            loss = standard(learner, images, labels)
    weights = sum(value.nbytes for value in learner.parameters())
    for own in chain(learner.parameters(), learner.buffers(), (images, labels, loss)):
        saved.pop(own.untyped_storage().data_ptr(), None)
    state = sum(value.nbytes for value in learner.buffers()) + images.nbytes + labels.nbytes
    momenta = MOMENTA.get(parse_spec("optimizer", recipe.optimizer).name, 2)
    return (2 + momenta) * weights + state + sum(saved.values()) + 2 * max(saved.values(), default=0)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device, or that the system can give without swapping."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch has reserved and does not use is free as well.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = (line.split() for line in meminfo.read_text(encoding="utf-8").splitlines())
        return next(int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
