"""A classifier whose values are its own, and whose gates open gradually in the backward pass alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from gradaudit.errors import InputError, require

Back = Callable[[Tensor], Tensor]
"""From the gradient by a layer's output to that by its input."""

# The papers' temperatures: of ReLU by either gate, and of the layers that have one gate of their own.
RELU = {"sigmoid": 0.3, "normal": 0.6}
SILU, GELU, POOL = 1.6, 1.0, 0.3

# What autograd calls the layers that are softened, should one have been out of sight, and those that the papers do not soften.
LEFT_HARD = {"Relu", "Silu", "Gelu", "MaxPool2DWithIndices", "MkldnnMaxPool2D", "NativeLayerNorm", "DifferentiableGraph"}
LEFT_HARD |= {"LeakyRelu", "Prelu", "PreluKernel", "RreluWithNoise", "Elu", "Celu", "Hardtanh", "Hardswish", "Hardsigmoid", "Mish"}
LEFT_HARD |= {"Softplus", "Threshold", "Hardshrink", "Softshrink", "Maximum", "CompiledFunction"}
LEFT_HARD |= {"AdaptiveMaxPool2D", "AdaptiveMaxPool3D", "MaxPool3DWithIndices", "FractionalMaxPool2D", "FractionalMaxPool3D"}
DEFINED = "ReLU, SiLU, GELU and 2-d max-pooling"


class Softened(nn.Module):
    """The classifier with soft gates in its backward pass; it shares the module, and changes nothing in it.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        gate: of ReLUs, `"sigmoid"` or `"normal"`, the distribution function.
        temperature: of all gates, above 0; None for the papers' own.
    """

    def __init__(self, classifier: nn.Module, gate: str, temperature: float | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.gate, self.temperature = gate, temperature
        self.training = classifier.training

    def forward(self, images: Tensor) -> Any:
        """The classifier's own logits, to the last bit.

        Raises:
            InputError: no gate was met, or one that can't be softened.
        """
        gates = SoftGates(self.gate, self.temperature)
        with gates:
            logits = self.classifier(images)
        name = type(self.classifier).__name__
        expected = f"one with gates to soften ({DEFINED}): none was met, as a module or a call, between images and logits"
        require(gates.met > 0, "classifier", name, expected)
        for layer in _layers(logits):
            expected = f"one whose gates are {DEFINED}, called from Python: its backward pass has {layer}, which was left as it is"
            require(layer not in LEFT_HARD, "classifier", name, expected)
        return logits


class SoftGates(TorchFunctionMode):
    """Within it, layers that are gates have soft ones in their backward pass, be they modules or calls, in place or not.

    Args:
        gate: of ReLUs, `"sigmoid"` or `"normal"`.
        temperature: of all gates; None for the papers' own.
    """

    def __init__(self, gate: str, temperature: float | None) -> None:
        super().__init__()
        self.gate = sigmoid if gate == "sigmoid" else normal
        self.temperature = temperature
        self.relu = RELU[gate]
        self.met = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The value of a call as always; the gradient of a gate as by its rule."""
        kwargs = kwargs or {}
        # By name, since torch has up to four functions of each: of its own, of tensors, of `nn.functional` and of `torch.ops`.
        name = getattr(func, "__name__", "").partition(".")[0]
        rule = RULES.get(name.rstrip("_"))
        back = rule(self, *args, **kwargs) if rule and _carries_gradient(*args, **kwargs) else None
        if back is None:
            return func(*args, **kwargs)
        self.met += rule is not _layer_norm
        inplace = name.endswith("_") or (name in ("relu", "silu") and bool(kwargs.get("inplace", (*args, False)[1])))
        rest = {key: value for key, value in kwargs.items() if key != "input"}
        given = args[0] if args else kwargs["input"]
        return _Softly.apply(given, lambda tensor: func(tensor, *args[1:], **rest), back, inplace)  # type: ignore[no-untyped-call]

    def heat(self, own: float) -> float:
        """The temperature of a layer whose own is `own`."""
        return own if self.temperature is None else self.temperature


class _Softly(torch.autograd.Function):
    """What a function makes of a tensor, with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, run: Callable[[Tensor], Tensor], back: Back, inplace: bool) -> Tensor:
        ctx.back = back
        if inplace:
            ctx.mark_dirty(given)
        return run(given)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return ctx.back(gradients[0]), None, None, None


def sigmoid(z: Tensor, temperature: float) -> Tensor:
    """The logistic function of z / temperature."""
    return torch.sigmoid(z / temperature)


def normal(z: Tensor, temperature: float) -> Tensor:
    """The normal distribution function of z / temperature."""
    return 0.5 * torch.erfc(-z / temperature * math.sqrt(0.5))


# Each rule takes the arguments of its layer, and gives the layer's backward pass; None where it is no gate.


def _times(gate: Tensor) -> Back:
    return lambda outer: outer * gate


def _relu(gates: SoftGates, input: Tensor, inplace: bool = False) -> Back:
    return _times(gates.gate(input.detach(), gates.heat(gates.relu)))


def _silu(gates: SoftGates, input: Tensor, inplace: bool = False) -> Back:
    return _times(sigmoid(input.detach(), gates.heat(SILU)))


def _gelu(gates: SoftGates, input: Tensor, approximate: str = "none") -> Back:
    return _times(normal(input.detach(), gates.heat(GELU)))


def _clamp(gates: SoftGates, input: Tensor, min: Any = None, max: Any = None) -> Back | None:
    bare = isinstance(min, (int, float)) and min == 0 and max is None
    return _relu(gates, input) if bare else None


def _layer_norm(
    gates: SoftGates,
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *rest: Any,
) -> Back:
    """Mean and variance count as constants."""
    last = tuple(range(-len(normalized_shape), 0))
    scale = torch.rsqrt(input.detach().var(last, correction=0, keepdim=True) + eps)
    return _times(scale if weight is None else scale * weight.detach())


def _max_pool2d(
    gates: SoftGates,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Back | None:
    """A mean of each window, weighted by the softmax of its values, which counts as a constant; padding never weighs."""
    if return_indices:
        return None
    values, sides = input.detach(), input.shape[-2:]
    counts = F.max_pool2d(values, kernel_size, stride, padding, dilation, ceil_mode).shape[-2:]
    window, before, gaps = _pair(kernel_size), _pair(padding), _pair(dilation)
    steps = _pair(stride) if stride else window
    reach = [(count - 1) * step + gap * (size - 1) + 1 for count, step, gap, size in zip(counts, steps, gaps, window, strict=True)]
    after = [whole - pad - side for whole, pad, side in zip(reach, before, sides, strict=True)]
    edges = (before[1], after[1], before[0], after[0])

    def windows(planes: Tensor) -> Tensor:
        return F.unfold(F.pad(planes, edges), window, dilation=gaps, stride=steps)

    planes = values.reshape(-1, 1, *sides)
    scores = windows(planes).masked_fill(windows(torch.ones_like(planes[:1])) == 0, -math.inf)
    weights = ((scores - scores.amax(1, keepdim=True)) / gates.heat(POOL)).softmax(1)

    def back(outer: Tensor) -> Tensor:
        shared = weights * outer.reshape(-1, 1, weights.shape[2])
        whole = F.fold(shared, (reach[0], reach[1]), window, dilation=gaps, stride=steps)
        return F.pad(whole, [-edge for edge in edges]).reshape(input.shape)

    return back


RULES: dict[str, Callable[..., Back | None]] = {
    "relu": _relu,
    "silu": _silu,
    "gelu": _gelu,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "max_pool2d": _max_pool2d,
    "layer_norm": _layer_norm,
}


def _carries_gradient(*args: Any, **kwargs: Any) -> bool:
    given = args[0] if args else kwargs.get("input")
    return isinstance(given, Tensor) and given.requires_grad and torch.is_grad_enabled()


def _pair(value: Any) -> tuple[int, int]:
    found = tuple(value) if isinstance(value, Iterable) else (value,)
    return (found[0], found[-1])


def _layers(logits: Any) -> Iterator[str]:
    """The names of all layers that autograd has recorded on the way to the logits."""
    ahead, seen = [getattr(logits, "grad_fn", None)], set()
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node.name().rpartition("::")[2].partition("Backward")[0]
        ahead += [following for following, _ in node.next_functions]


def check_gate(gate: str, temperature: float | None) -> None:
    """Raise `InputError` unless the gate has a rule and the temperature is None or a finite number above 0."""
    require(gate in RELU, "gate", gate, '"sigmoid" or "normal"')
    if temperature is None:
        return
    number = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    if not (number and 0 < temperature < math.inf):
        raise InputError("temperature", temperature, "a finite number above 0, in units of pre-activations, or left out")
