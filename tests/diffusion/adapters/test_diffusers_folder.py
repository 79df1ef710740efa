import json
import shutil
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gradaudit.diffusion.load import load_denoiser
from gradaudit.errors import InputError

WEIGHTS = "diffusion_pytorch_model.safetensors"


def unet(**options: object) -> diffusers.UNet2DModel:
    plain: dict[str, object] = {
        "sample_size": 8,
        "block_out_channels": (32, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 8,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = diffusers.UNet2DModel(**(plain | options))
    return made.eval()


def pipeline(folder: Path, model: diffusers.UNet2DModel, scheduler: object) -> Path:
    """The folder as diffusers writes it."""
    diffusers.DDPMPipeline(model, scheduler).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pipeline(tmp_path / "model", unet(), diffusers.DDPMScheduler())


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 3, 8, 8, generator=generator), torch.randn(3, 3, 8, 8, generator=generator)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_it_denoises_as_the_scheduler_says(schedule: str, prediction: str, tmp_path: Path) -> None:
    options = {"beta_schedule": schedule, "prediction_type": prediction}
    model, scheduler = unet(), diffusers.DDPMScheduler(clip_sample=False, **options)
    denoiser = load_denoiser(pipeline(tmp_path / "model", model, scheduler))
    clean, noise = images()
    for step in (0, 20, 300, 700):
        steps = torch.tensor([step])
        scaled = scheduler.add_noise(2 * clean - 1, noise, steps)
        with torch.no_grad():
            expected = scheduler.step(model(scaled, step).sample, step, scaled).pred_original_sample
            kept = scheduler.alphas_cumprod[step].double()
            sigma = ((1 - kept) / kept).sqrt().item() / 2
            denoised = denoiser(clean + sigma * noise, sigma)
        torch.testing.assert_close(denoised, (expected + 1) / 2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "scheduler",
    ["DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"],
)
def test_another_sampler_of_the_same_schedule_gives_the_same_denoiser(scheduler: str, folder: Path, tmp_path: Path) -> None:
    other = pipeline(tmp_path / "other", unet(), getattr(diffusers, scheduler)())
    clean, noise = images()
    with torch.no_grad():
        assert torch.equal(load_denoiser(other)(clean + noise, 1.0), load_denoiser(folder)(clean + noise, 1.0))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_edm_schedulers_are_followed(name: str, prediction: str, tmp_path: Path) -> None:
    model, scheduler = unet(), getattr(diffusers, name)(sigma_data=0.7, prediction_type=prediction, sigma_max=20.0)
    denoiser = load_denoiser(pipeline(tmp_path / "model", model, scheduler))
    clean, noise = images()
    sigma = torch.tensor(0.8)
    noisy = 2 * clean - 1 + sigma * noise
    with torch.no_grad():
        output = model(scheduler.precondition_inputs(noisy, sigma), scheduler.precondition_noise(sigma)).sample
        expected = scheduler.precondition_outputs(noisy, output, sigma)
        denoised = denoiser(clean + sigma / 2 * noise, sigma.item() / 2)
    torch.testing.assert_close(denoised, (expected + 1) / 2, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match=r"`sigma`.*to 10"):
        denoiser(clean, 11.0)


def test_it_says_what_it_is(folder: Path) -> None:
    denoiser = load_denoiser(folder)
    assert denoiser.shape == (3, 8, 8)
    assert denoiser.classes == 0
    assert not denoiser.training
    assert denoiser.description["source"] == "model"
    assert json.loads(json.dumps(denoiser.description)) == denoiser.description


def test_the_callers_random_state_is_left_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load_denoiser(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_all_files_in_one_folder_are_found(folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (folder / "unet" / "config.json", folder / "unet" / WEIGHTS, folder / "scheduler" / "scheduler_config.json"):
        shutil.copy(path, flat)
    clean, _ = images()
    with torch.no_grad():
        assert torch.equal(load_denoiser(flat)(clean, 0.2), load_denoiser(folder)(clean, 0.2))


def test_the_names_that_attention_used_to_have_are_read(folder: Path) -> None:
    clean, _ = images()
    with torch.no_grad():
        expected = load_denoiser(folder)(clean, 0.2)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(folder / "unet" / WEIGHTS)
    for new, name in old.items():
        tensors = {key.replace(new, name): value for key, value in tensors.items()}
    assert any("proj_attn" in key for key in tensors)
    save_file(tensors, folder / "unet" / WEIGHTS)
    with torch.no_grad():
        assert torch.equal(load_denoiser(folder)(clean, 0.2), expected)


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    model = unet().half()
    denoiser = load_denoiser(pipeline(tmp_path / "model", model, diffusers.DDPMScheduler()))
    assert {value.dtype for value in denoiser.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        assert denoiser(images()[0], 0.2).dtype == torch.float32


def test_a_bare_unet_needs_its_schedule(tmp_path: Path) -> None:
    unet().save_pretrained(tmp_path / "bare")
    with pytest.raises(InputError, match=r"`schedule`.*linear, cosine, edm"):
        load_denoiser(tmp_path / "bare")
    for schedule in ("linear", "cosine", torch.linspace(0.99, 0.1, 10), "edm"):
        assert load_denoiser(tmp_path / "bare", schedule=schedule)(images()[0], 0.2).isfinite().all()


def test_the_schedule_and_prediction_can_be_said_otherwise(folder: Path, tmp_path: Path) -> None:
    options = {"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"}
    other = load_denoiser(pipeline(tmp_path / "other", unet(), diffusers.DDPMScheduler(**options)))
    said = load_denoiser(folder, prediction="v_prediction", schedule="cosine")
    clean, noise = images()
    with torch.no_grad():
        torch.testing.assert_close(said(clean + noise, 1.0), other(clean + noise, 1.0), atol=1e-3, rtol=1e-3)
    with pytest.raises(InputError, match=r"`prediction`.*one of epsilon"):
        load_denoiser(folder, prediction="noise")
    with pytest.raises(InputError, match=r"`schedule`"):
        load_denoiser(folder, schedule="quadratic")


def test_classes_and_their_null(tmp_path: Path) -> None:
    model, scheduler = unet(num_class_embeds=5), diffusers.DDPMScheduler(clip_sample=False)
    path = pipeline(tmp_path / "model", model, scheduler)
    conditional, free = load_denoiser(path), load_denoiser(path, null_class=4)
    assert (conditional.classes, free.classes, load_denoiser(path, null_class=0).classes) == (5, 4, 5)
    clean, _ = images()
    with torch.no_grad():
        assert torch.equal(free(clean, 0.2), conditional(clean, 0.2, torch.tensor([4, 4, 4])))
        assert not torch.equal(free(clean, 0.2), free(clean, 0.2, torch.tensor([4, 0, 4]) * 0))
    with pytest.raises(InputError, match=r"`labels`.*from 0 to 4.*trained on classes alone"):
        conditional(clean, 0.2)
    with pytest.raises(InputError, match=r"`null_class`.*from 0 to 4"):
        load_denoiser(path, null_class=5)


def test_learned_variance_and_learned_embeddings(tmp_path: Path) -> None:
    model = unet(out_channels=6, time_embedding_type="learned", num_train_timesteps=1000)
    denoiser = load_denoiser(pipeline(tmp_path / "model", model, diffusers.DDPMScheduler(variance_type="learned_range")))
    clean, _ = images()
    steps = torch.tensor([0, 300, 999])
    with torch.no_grad():
        epsilon, variance = denoiser.denoise.predict(clean, steps)
        expected = model(clean, steps).sample
        assert denoiser(clean, 0.2).shape == clean.shape
    torch.testing.assert_close(epsilon, expected[:, :3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(variance, (expected[:, 3:] + 1) / 2, atol=1e-5, rtol=1e-5)


def test_zero_signal_at_the_end_is_left_out(tmp_path: Path) -> None:
    scheduler = diffusers.DDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    denoiser = load_denoiser(pipeline(tmp_path / "model", unet(), scheduler))
    clean, noise = images()
    top = denoiser.denoise.sigma_range[1]
    with torch.no_grad():
        assert denoiser(clean + top * noise, top).isfinite().all()


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, told: str) -> None:
    with pytest.raises(InputError, match=rf"`source`.*{told}"):
        load_denoiser(folder)


def test_weights_of_another_configuration_are_refused(folder: Path) -> None:
    edit(folder / "unet" / "config.json", block_out_channels=[32, 64])
    refused(folder, r"diffusion_pytorch_model.safetensors.*instead of")


def test_a_missing_or_unexpected_tensor_is_refused(folder: Path) -> None:
    path = folder / "unet" / WEIGHTS
    tensors = load_file(path)
    save_file({name: value for name, value in tensors.items() if name != "conv_out.bias"}, path)
    refused(folder, "missing conv_out.bias")
    save_file(tensors | {"more": torch.zeros(1)}, path)
    refused(folder, "unexpected more")
    save_file(tensors | {"conv_out.bias": torch.tensor([0.0, torch.inf, 0.0])}, path)
    refused(folder, "finite: `conv_out.bias`")


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_truncated_weights_are_refused(kept: int, folder: Path) -> None:
    path = folder / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, r"diffusion_pytorch_model.safetensors.*readable .safetensors")


@pytest.mark.parametrize("name", ["unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '"text"'])
def test_a_damaged_configuration_is_refused(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    refused(folder, f"{Path(name).name}.*JSON")


def test_an_impossible_configuration_is_refused(folder: Path) -> None:
    edit(folder / "unet" / "config.json", down_block_types=["NoSuchBlock"] * 2)
    refused(folder, "a U-Net that diffusers can build")
    edit(folder / "unet" / "config.json", _class_name="UNet2DConditionModel")
    refused(folder, "a UNet2DModel")


def test_other_embeddings_are_refused(folder: Path) -> None:
    edit(folder / "unet" / "config.json", time_embedding_type="fourier")
    refused(folder, "time_embedding_type")
    edit(folder / "unet" / "config.json", time_embedding_type="positional", class_embed_type="timestep")
    refused(folder, "class_embed_type")


@pytest.mark.parametrize("changes", [{"beta_schedule": "no such"}, {"num_train_timesteps": "many"}])
def test_an_impossible_scheduler_is_refused(changes: dict[str, object], folder: Path) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", **changes)
    refused(folder, "scheduler_config.json.*configuration of a DDPMScheduler")


def test_an_unknown_scheduler_or_prediction_is_refused(folder: Path) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler")
    refused(folder, "DDPMScheduler.*EDMEulerScheduler.*not FlowMatchEulerDiscreteScheduler")
    edit(folder / "scheduler" / "scheduler_config.json", _class_name="DDPMScheduler", prediction_type="flow_prediction")
    refused(folder, "prediction_type.*flow_prediction")


def test_a_folder_without_the_files_is_refused(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path, "unet/config.json or config.json")
    (folder / "unet" / WEIGHTS).unlink()
    refused(folder, "a folder with diffusion_pytorch_model.safetensors")


def test_a_pickle_is_refused_with_the_reason_and_read_when_asked(folder: Path) -> None:
    clean, _ = images()
    with torch.no_grad():
        expected = load_denoiser(folder)(clean, 0.2)
    torch.save(load_file(folder / "unet" / WEIGHTS), folder / "unet" / "diffusion_pytorch_model.bin")
    (folder / "unet" / WEIGHTS).unlink()
    refused(folder, r"\.bin alone.*pickle can run any code.*safe_serialization=True")
    with torch.no_grad():
        assert torch.equal(load_denoiser(folder, allow_pickle=True)(clean, 0.2), expected)


def test_two_files_of_weights_are_refused(folder: Path) -> None:
    for variant in ("fp16", "ema"):
        shutil.copy(folder / "unet" / WEIGHTS, folder / "unet" / f"diffusion_pytorch_model.{variant}.safetensors")
    load_denoiser(folder)
    (folder / "unet" / WEIGHTS).unlink()
    refused(folder, "one file of weights")
