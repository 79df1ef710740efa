"""Devices, precision, threads and seeds."""

import pytest
import torch

from gradaudit.devices import one_thread, resolve_device, resolve_precision, seeded
from gradaudit.errors import InputError


def test_a_device_that_works_is_returned():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", None, "mps" if not torch.backends.mps.is_available() else "cpu:x"])
def test_a_device_that_does_not_work_is_an_error(device):
    with pytest.raises(InputError, match=r'`device` .* must be "auto", "cpu", "cuda" or another that works here'):
        resolve_device(device)


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_a_precision_that_is_asked_for_is_given(asked):
    assert resolve_precision(asked, torch.device("cpu")) == asked


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_on_cuda_follows_the_hardware(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda")) == expected


@pytest.mark.parametrize(("unit", "expected"), [("avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("avx2", "fp32")])
def test_auto_on_a_cpu_follows_the_hardware(monkeypatch, unit, expected):
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        expected = "fp32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {unit: True}, raising=False)  # torch 2.6 has none
    assert resolve_precision("auto", torch.device("cpu")) == expected


def test_auto_is_full_precision_where_torch_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"


def test_auto_elsewhere_is_full_precision():
    assert resolve_precision("auto", torch.device("meta")) == "fp32"


def test_an_unknown_precision_is_an_error():
    with pytest.raises(InputError, match=r"`precision` \(='fp16'\) must be \"auto\", \"fp32\" or \"bf16\""):
        resolve_precision("fp16", torch.device("cpu"))


def test_one_thread_inside_and_the_callers_number_after():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_denormals_are_zero_inside_only():
    tiny = torch.tensor(1e-39)
    with one_thread():
        inside = float(tiny * 0.5)
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor does not flush denormals")
    assert inside == 0
    assert float(tiny * 0.5) > 0


def test_a_seed_decides_what_is_drawn_and_leaves_the_callers_state():
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    with seeded(5):
        first = torch.rand(3)
    with pytest.raises(RuntimeError), seeded(6):
        torch.rand(3) @ torch.rand(2)
    with seeded(5):
        again = torch.rand(3)
    assert torch.equal(first, again)
    assert torch.equal(torch.rand(4), expected)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_seed_leaves_the_callers_state_on_a_gpu():
    torch.manual_seed(1)
    expected = torch.rand(4, device="cuda")
    torch.manual_seed(1)
    with seeded(5, "cuda"):
        first = torch.rand(3, device="cuda")
    with seeded(5, torch.device("cuda", torch.cuda.current_device())):
        assert torch.equal(torch.rand(3, device="cuda"), first)
    assert torch.equal(torch.rand(4, device="cuda"), expected)
