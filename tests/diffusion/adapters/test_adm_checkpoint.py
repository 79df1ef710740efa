import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.diffusion.adapters import read_schedule
from gradaudit.diffusion.load import load_denoiser
from gradaudit.errors import InputError

# The architecture, written out plainly: Dhariwal and Nichol (2021), section 3, with the names of the published checkpoints.


class Residual(nn.Module):
    def __init__(self, width: int, out: int, embedding: int, scale_shift: bool, resample: str = "") -> None:
        super().__init__()
        self.scale_shift, self.resample = scale_shift, resample
        self.in_layers = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out * (2 if scale_shift else 1)))
        self.out_layers = nn.Sequential(nn.GroupNorm(32, out), nn.SiLU(), nn.Dropout(0.1), nn.Conv2d(out, out, 3, padding=1))
        self.skip_connection = nn.Identity() if width == out else nn.Conv2d(width, out, 1)

    def resized(self, x: Tensor) -> Tensor:
        if self.resample == "up":
            return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        if self.resample == "down":
            return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
        return x

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.in_layers[2](self.resized(self.in_layers[1](self.in_layers[0](x))))
        emb = self.emb_layers(embedding)[:, :, None, None]
        if self.scale_shift:
            scale, shift = emb.chunk(2, dim=1)
            hidden = self.out_layers[0](hidden) * (1 + scale) + shift
        else:
            hidden = self.out_layers[0](hidden + emb)
        for layer in self.out_layers[1:]:
            hidden = layer(hidden)
        return self.skip_connection(self.resized(x)) + hidden


class Attending(nn.Module):
    def __init__(self, width: int, heads: int, new_order: bool) -> None:
        super().__init__()
        self.heads, self.new_order = heads, new_order
        self.norm = nn.GroupNorm(32, width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        flat = x.flatten(2)
        packed, size = self.qkv(self.norm(flat)), flat.shape[1] // self.heads
        found = []
        for head in range(self.heads):
            if self.new_order:  # every head's queries, then every head's keys, then values
                places = [part * flat.shape[1] + head * size for part in range(3)]
            else:  # head by head: its queries, keys and values
                places = [(3 * head + part) * size for part in range(3)]
            query, key, value = (packed[:, place : place + size] for place in places)
            weights = (torch.einsum("ncs,nct->nst", query, key) / math.sqrt(size)).softmax(dim=2)
            found.append(torch.einsum("nst,nct->ncs", weights, value))
        return x + self.proj_out(torch.cat(found, dim=1)).reshape(x.shape)


class Down(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.op(x)


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class First(nn.Conv2d):
    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return super().forward(x)


class ADM(nn.Module):
    def __init__(
        self,
        *,
        base: int = 32,
        multiples: tuple[float, ...] = (1, 2),
        blocks: int = 1,
        attention: tuple[int, ...] = (1,),
        head_channels: int = 16,
        heads: int | None = None,
        new_order: bool = False,
        scale_shift: bool = True,
        resampling_blocks: bool = True,
        channels: int = 3,
        learned: bool = True,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.base = base
        embedding = 4 * base
        self.time_embed = nn.Sequential(nn.Linear(base, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        if classes:
            self.label_emb = nn.Embedding(classes, embedding)

        def residual(width: int, out: int, resample: str = "") -> Residual:
            return Residual(width, out, embedding, scale_shift, resample)

        def attending(width: int) -> Attending:
            return Attending(width, heads or width // head_channels, new_order)

        widths = [int(base * multiple) for multiple in multiples]
        width = widths[0]
        self.input_blocks = nn.ModuleList([nn.ModuleList([First(channels, width, 3, padding=1)])])
        skips = [width]
        for level, out in enumerate(widths):
            for _ in range(blocks):
                layers = [residual(width, out), *([attending(out)] if level in attention else [])]
                width = out
                self.input_blocks.append(nn.ModuleList(layers))
                skips.append(width)
            if level < len(widths) - 1:
                self.input_blocks.append(nn.ModuleList([residual(width, width, "down") if resampling_blocks else Down(width)]))
                skips.append(width)
        self.middle_block = nn.ModuleList([residual(width, width), attending(width), residual(width, width)])
        self.output_blocks = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            for block in range(blocks + 1):
                layers = [residual(width + skips.pop(), out), *([attending(out)] if level in attention else [])]
                width = out
                if level > 0 and block == blocks:
                    layers.append(residual(width, width, "up") if resampling_blocks else Up(width))
                self.output_blocks.append(nn.ModuleList(layers))
        self.out = nn.Sequential(
            nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, channels * (2 if learned else 1), 3, padding=1)
        )

    def forward(self, x: Tensor, steps: Tensor, labels: Tensor | None = None) -> Tensor:
        half = self.base // 2
        angles = steps[:, None].float() * torch.tensor([10000 ** (-i / half) for i in range(half)])
        embedding = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))
        if labels is not None:
            embedding = embedding + self.label_emb(labels)
        skips = []
        for layers in self.input_blocks:
            for layer in layers:
                x = layer(x, embedding)
            skips.append(x)
        for layer in self.middle_block:
            x = layer(x, embedding)
        for layers in self.output_blocks:
            x = torch.cat([x, skips.pop()], dim=1)
            for layer in layers:
                x = layer(x, embedding)
        return self.out(x)


def network(seed: int = 0, **options: object) -> ADM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = ADM(**options)  # type: ignore[arg-type]
        for parameter in made.parameters():
            if parameter.ndim == 1:  # so that a normalisation or bias that goes astray shows
                nn.init.normal_(parameter, mean=1.0, std=0.3)
    return made.eval()


def saved(folder: Path, tensors: Mapping[str, Tensor]) -> Path:
    torch.save(dict(tensors), folder / "adm.pt")
    return folder / "adm.pt"


VARIANTS = {
    "256x256": ({}, {}),
    "three levels": ({"multiples": (1, 1, 2), "attention": (1, 2), "blocks": 2}, {}),
    "one level": ({"multiples": (2,), "attention": (), "blocks": 2}, {}),
    "attention everywhere": ({"attention": (0, 1)}, {}),
    "no attention but the middle's": ({"attention": ()}, {}),
    "512x512, a first level of half the base": ({"base": 64, "multiples": (0.5, 1)}, {}),
    "128x128, four heads": ({"heads": 4, "attention": (0, 1)}, {"num_heads": 4}),
    "64x64, the new order": ({"new_order": True}, {"new_attention_order": True}),
    "plain resampling": ({"resampling_blocks": False, "attention": (0, 1)}, {}),
    "plain resampling without attention": ({"resampling_blocks": False, "attention": ()}, {}),
    "added embedding": ({"scale_shift": False}, {}),
    "fixed variance": ({"learned": False}, {}),
    "one channel": ({"channels": 1}, {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_predicts_what_the_plain_architecture_does(variant: str, tmp_path: Path) -> None:
    made, options = VARIANTS[variant]
    plain = network(**made)
    heads = {} if "num_heads" in options else {"num_head_channels": 16}
    denoiser = load_denoiser(saved(tmp_path, plain.state_dict()), **heads, **options)
    noisy = torch.randn(4, made.get("channels", 3), 16, 16, generator=torch.Generator().manual_seed(0))
    steps = torch.tensor([0, 1, 500, 999])
    with torch.no_grad():
        expected = plain(noisy, steps)
        epsilon, variance = denoiser.denoise.predict(noisy, steps)
    torch.testing.assert_close(epsilon, expected[:, : noisy.shape[1]], atol=1e-4, rtol=1e-4)
    if made.get("learned", True):
        torch.testing.assert_close(variance, (expected[:, noisy.shape[1] :] + 1) / 2, atol=1e-4, rtol=1e-4)
    else:
        assert variance is None


def test_a_class_conditional_one_knows_its_classes(tmp_path: Path) -> None:
    plain = network(classes=5)
    denoiser = load_denoiser(saved(tmp_path, plain.state_dict()), num_head_channels=16)
    noisy, steps, labels = torch.randn(2, 3, 16, 16), torch.tensor([3, 700]), torch.tensor([4, 1])
    with torch.no_grad():
        epsilon, _ = denoiser.denoise.predict(noisy, steps, labels)
        torch.testing.assert_close(epsilon, plain(noisy, steps, labels)[:, :3], atol=1e-4, rtol=1e-4)
    assert denoiser.classes == 5
    with pytest.raises(InputError, match=r"`labels`.*trained on classes alone"):
        denoiser(noisy, 0.5)


def test_it_denoises_as_ddpm_does(tmp_path: Path) -> None:
    plain = network()
    denoiser = load_denoiser(saved(tmp_path, plain.state_dict()), num_head_channels=16, image_size=16)
    assert denoiser.shape == (3, 16, 16)
    assert not denoiser.training
    kept = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).neg().add(1).cumprod(0)[[10, 400]].float()[:, None, None, None]
    clean, noise = torch.rand(2, 3, 16, 16), torch.randn(2, 3, 16, 16)
    scaled = kept.sqrt() * (2 * clean - 1) + (1 - kept).sqrt() * noise
    with torch.no_grad():
        epsilon = plain(scaled, torch.tensor([10, 400]))[:, :3]
        expected = ((scaled - (1 - kept).sqrt() * epsilon) / kept.sqrt() + 1) / 2
        sigma = ((1 - kept) / kept).sqrt().flatten() / 2
        denoised = denoiser(clean + sigma[:, None, None, None] * noise, sigma)
    torch.testing.assert_close(denoised, expected, atol=1e-4, rtol=1e-4)


def test_safetensors_wrappers_and_half_precision_are_read(tmp_path: Path) -> None:
    plain = network(attention=())
    half = {name: value.half() for name, value in plain.state_dict().items()}
    save_file(half, tmp_path / "adm.safetensors")
    torch.save({"ema": half, "step": 3}, tmp_path / "wrapped.pt")
    noisy = torch.rand(1, 3, 16, 16)
    first, second = (load_denoiser(tmp_path / name, num_head_channels=16) for name in ("adm.safetensors", "wrapped.pt"))
    with torch.no_grad():
        assert torch.equal(first(noisy, 0.3), second(noisy, 0.3))
        plain.load_state_dict(half)
        expected, _ = plain(noisy, torch.tensor([100])).chunk(2, dim=1)
        torch.testing.assert_close(first.denoise.predict(noisy, torch.tensor([100]))[0], expected, atol=1e-4, rtol=1e-4)


def test_the_cosine_schedule_reaches_further(tmp_path: Path) -> None:
    path = saved(tmp_path, network().state_dict())
    denoiser = load_denoiser(path, num_head_channels=16, schedule="cosine")
    torch.testing.assert_close(denoiser.denoise.alphas_cumprod, read_schedule("cosine"))


def without(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.startswith(start)}


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("output_blocks", "output_blocks.0.0.in_layers.0.weight"),
        ("output_blocks.3", "output_blocks.3.0.in_layers.0.weight"),
        ("input_blocks.2.0.out_layers.3.bias", "missing input_blocks.2.0.out_layers.3.bias"),
        ("middle_block.1.qkv.bias", "missing middle_block.1.qkv.bias"),
        ("out.2", "out.2.weight"),
        ("input_blocks.3", "input_blocks.3"),
    ],
)
def test_a_truncated_checkpoint_is_refused(start: str, told: str, tmp_path: Path) -> None:
    path = saved(tmp_path, without(network().state_dict(), start))
    with pytest.raises(InputError, match=r"`source`.*adm.pt") as caught:
        load_denoiser(path, num_head_channels=16)
    assert told in str(caught.value)


def test_a_tensor_too_many_or_of_another_shape_is_refused(tmp_path: Path) -> None:
    tensors = network().state_dict()
    with pytest.raises(InputError, match=r"unexpected output_blocks.0.7.weight"):
        load_denoiser(saved(tmp_path, tensors | {"output_blocks.0.7.weight": torch.zeros(1)}), num_head_channels=16)
    with pytest.raises(InputError, match=r"middle_block.1.qkv.weight .* instead of \(192, 64\)"):
        load_denoiser(saved(tmp_path, tensors | {"middle_block.1.qkv.weight": torch.zeros(192, 32, 1)}), num_head_channels=16)
    with pytest.raises(InputError, match=r"finite"):
        load_denoiser(saved(tmp_path, tensors | {"out.2.bias": torch.full((6,), math.nan)}), num_head_channels=16)


def test_what_is_no_denoiser_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`source`.*upsampler"):
        load_denoiser(saved(tmp_path, network(channels=6, learned=False).state_dict()), num_head_channels=16)
    with pytest.raises(InputError, match=r"`source`.*ADM layout"):
        load_denoiser(saved(tmp_path, nn.Linear(2, 2).state_dict()))


@pytest.mark.parametrize("options", [{"num_head_channels": 48}, {"num_heads": 5}, {"num_heads": 0}, {"image_size": 0}])
def test_options_that_do_not_fit_are_refused(options: dict[str, int], tmp_path: Path) -> None:
    path = saved(tmp_path, network().state_dict())
    with pytest.raises(InputError, match=rf"`{next(iter(options))}`"):
        load_denoiser(path, **options)
