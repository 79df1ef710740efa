"""The code of the pages on denoisers, alignment and the data manifold, run as it stands, on little data and small networks."""

import pickle
import re
import runpy
import shlex
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

import gradaudit as ga
from gradaudit import zoo
from gradaudit.cli import app
from gradaudit.diffusion.tangents import TANGENTS
from gradaudit.instruments.alignment.methods import GRADIENTS, SCORES, SIMILARITIES

ROOT = Path(__file__).parent.parent
PAGES = ("denoisers", "alignment", "manifold")
TRAIN, TEST = 64, 40
ADM = "256x256_diffusion_uncond.pt"
EDM = "edm-cifar10-32x32-cond-vp.pkl"
# What NVIDIA's network shows to the outside: images in [-1, 1], one-hot classes, and what it was made with.
NVIDIA = """
import torch


class EDMPrecond(torch.nn.Module):
    def __init__(self, **made):
        super().__init__()
        self.init_kwargs = made
        for name, value in made.items():
            setattr(self, name, value)
        self.convolution = torch.nn.Conv2d(self.img_channels, self.img_channels, 3, padding=1)
        self.classes = torch.nn.Linear(self.label_dim, 1)

    def forward(self, x, sigma, class_labels=None):
        found = self.convolution(x) / (1 + sigma.reshape(-1, 1, 1, 1))
        return found if class_labels is None else found + self.classes(class_labels)[:, :, None, None]
"""


def blocks(page, language):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def run(page):
    """The names that a page's code leaves. A block that begins with a file's name is the user's file, there from the start."""
    found = [(re.match(r"# (\w+\.py)\n", code), code) for code in blocks(page, "python")]
    for file, code in found:
        if file:
            Path(file[1]).write_text(code)
    names = {}
    exec(compile("\n".join(code for file, code in found if not file), f"{page}.md", "exec"), names)
    return names


def write_idx(path, array):
    shape = np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(bytes((0, 0, 8, array.ndim)) + shape + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="module", name="digits")
def digits_fixture():
    train, test = ga.load_images("mnist5k")
    return train.sample(TRAIN), test.sample(TEST)


@pytest.fixture(name="user")
def user_fixture(tmp_path, monkeypatch, digits):
    """A folder of a user who has MNIST, of few images, beside a package whose denoiser is a small one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADAUDIT_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    for half, images in zip(("train", "t10k"), digits, strict=True):
        write_idx(tmp_path / "data" / "mnist" / f"{half}-images-idx3-ubyte", images.images[:, 0].numpy())
        write_idx(tmp_path / "data" / "mnist" / f"{half}-labels-idx1-ubyte", images.labels.numpy())
    (tmp_path / "zoo" / "denoisers").mkdir(parents=True)
    (tmp_path / "zoo" / "classifiers").symlink_to(zoo.FOLDER / "classifiers")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    small = ga.denoiser_recipe("mnist", network="unet(widths=[8], patch=4)", epochs=1)
    ga.save_denoiser(tmp_path / "zoo" / "denoisers" / "mnist.safetensors", ga.train_denoiser(small, digits[0], device="cpu"))
    return tmp_path


@pytest.fixture(name="elsewhere")
def elsewhere_fixture(user, monkeypatch):
    """Denoisers that others published, in their layouts: small, and with random weights."""
    import diffusers
    import huggingface_hub

    torch.manual_seed(0)
    (user / "denoiser.safetensors").write_bytes((user / "zoo" / "denoisers" / "mnist.safetensors").read_bytes())
    blocks_of = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (32,)}
    model = diffusers.UNet2DModel(sample_size=32, layers_per_block=1, **blocks_of)
    diffusers.DDPMPipeline(model, diffusers.DDPMScheduler()).save_pretrained(user / "ddpm-cifar10-32")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(user / name.partition("/")[2]))
    plain = runpy.run_path(str(ROOT / "tests" / "diffusion" / "adapters" / "test_adm_checkpoint.py"))["ADM"]
    torch.save(plain(multiples=(2,), attention=()).state_dict(), user / ADM)
    (user / "training").mkdir()
    (user / "training" / "networks.py").write_text(NVIDIA)
    monkeypatch.syspath_prepend(str(user))
    network = import_module("training.networks").EDMPrecond(img_resolution=32, img_channels=3, label_dim=10)
    (user / EDM).write_bytes(pickle.dumps({"ema": network}))
    yield user
    for module in ("training.networks", "training", "my_edm", "my_denoisers"):
        sys.modules.pop(module, None)


@pytest.mark.slow
def test_the_page_on_denoisers(elsewhere):
    run("denoisers")
    own, clean = ga.load_denoiser("my_denoisers:shrinking"), 0.5 + 0.2 * torch.randn(50, 1, 28, 28)
    error = (own(clean + 0.3 * torch.randn_like(clean), 0.3) - clean).square().mean()
    assert float(error) == pytest.approx(0.2**2 * 0.3**2 / (0.2**2 + 0.3**2), rel=0.05)  # the least that any can have
    pickled = ga.load_denoiser(EDM, allow_pickle=True)
    converted = ga.load_denoiser("my_edm:EDM", shape=(3, 32, 32), classes=10)
    noisy, classes = torch.rand(2, 3, 32, 32), torch.tensor([3, 8])
    for labels in (None, classes):
        assert torch.allclose(converted(noisy, 0.25, labels), pickled(noisy, 0.25, labels), atol=1e-6)
    assert not torch.allclose(converted(noisy, 0.25, classes), converted(noisy, 0.25), atol=1e-3)
    assert ga.load_denoiser("mine.safetensors").description["recipe"] == ga.denoiser_recipe("mnist").model_dump()


def test_the_page_on_alignment(user):
    names = run("alignment")
    assert ga.load_result(user / "out").to_json() == names["result"].to_json()
    assert len(names["result"].table) == 18  # a gradient and its two controls, 3 sigmas, 2 similarities
    assert names["exact"].table["value"][0] > 0.999
    assert names["exact"].verdict.label == "aligned"
    gradients = torch.tensor([1.0, -2.0, 3.0, -4.0]).reshape(1, 1, 2, 2)
    assert names["sign_agreement"](gradients, gradients.abs()).tolist() == [0.5]


@pytest.mark.slow
def test_the_page_on_the_manifold(user):
    names = run("manifold")
    assert ga.load_result(user / "out").to_json() == names["result"].to_json()
    spaces, test = names["spaces"], names["test"]
    assert spaces.shape == (TEST, 32, 784)
    assert torch.allclose(spaces @ spaces.mT, torch.eye(32).expand(TEST, -1, -1), atol=1e-4)
    again = ga.tangent_spaces(test, ga.load_autoencoder("autoencoder.safetensors"))
    assert torch.allclose(again.mT @ again, spaces.mT @ spaces, atol=1e-3)
    by_batch = ga.manifold_robustness(names["classifier"], test, lambda floats: ga.tangent_spaces(floats, names["autoencoder"]))
    assert by_batch.ratio() == pytest.approx(names["result"].ratio(), rel=1e-3)


COMMANDS = [
    line for page in PAGES for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines() if line.strip()
]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_pages_commands_can_be_read(line):
    program, name, *arguments = shlex.split(line)
    assert program == "gradaudit"
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments)  # refuses an option that there is not


@pytest.mark.parametrize("registry", [GRADIENTS, SCORES, SIMILARITIES], ids=lambda registry: registry.kind)
def test_the_page_on_alignment_has_every_method(registry):
    text = (ROOT / "docs" / "alignment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)[`(]", text, flags=re.MULTILINE)
    assert set(registry.names()) <= set(rows)


def test_the_page_on_the_manifold_has_every_source():
    text = (ROOT / "docs" / "manifold.md").read_text(encoding="utf-8")
    sources = {TANGENTS.function("source", name).__annotations__["source"] for name in TANGENTS.names()}
    assert sources <= set(re.findall(r"^\| `(\w+)` \| ", text, flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([\w.]+)\)", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    assert all((ROOT / "docs" / link).is_file() for link in links)
