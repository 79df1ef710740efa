from pathlib import Path

import diffusers
import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import RepositoryNotFoundError

from gradaudit.diffusion.load import load_denoiser
from gradaudit.errors import InputError


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    model = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(32,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        layers_per_block=1,
    )
    diffusers.DDPMPipeline(model, diffusers.DDPMScheduler()).save_pretrained(tmp_path / "snapshot")
    return tmp_path / "snapshot"


def test_a_download_is_read_as_a_folder(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        return str(stored)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        found = load_denoiser("hub:somebody/model(revision=v1, prediction=epsilon)")(images, 0.3)
        assert torch.equal(found, load_denoiser(stored)(images, 0.3))
    ((name, revision, patterns),) = asked
    assert (name, revision) == ("somebody/model", "v1")
    assert not any(pattern.endswith(".bin") for pattern in patterns)


def test_what_cannot_be_downloaded_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def download(*arguments: object, **options: object) -> str:
        raise FileNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert issubclass(RepositoryNotFoundError, OSError)
    with pytest.raises(InputError, match=r"`source` \(='hub:somebody/model'\).*downloaded.*no connection"):
        load_denoiser("hub:somebody/model")


@pytest.mark.parametrize("name", ["hub:model", "hub:", "hub:a/b/c", "hub:/model"])
def test_a_name_without_its_organisation_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"`source`.*hub:ORGANISATION/NAME"):
        load_denoiser(name)
