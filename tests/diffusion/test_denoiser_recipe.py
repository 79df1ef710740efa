import pytest
import torch

from gradaudit.diffusion.recipe import DenoiserRecipe, denoiser_recipe
from gradaudit.errors import InputError

SHAPES = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


@pytest.mark.parametrize("name", SHAPES)
def test_a_named_recipe_builds_for_its_images(name):
    with torch.device("meta"):
        model = denoiser_recipe(name).build(SHAPES[name], 10)
    weights = sum(weight.numel() for weight in model.parameters())
    assert 2 * weights < (16e6 if name == "cifar10" else 4e6)  # bytes as fp16


def test_a_named_recipe_takes_other_fields():
    recipe = denoiser_recipe("mnist", epochs=2)
    assert recipe == DenoiserRecipe(**(denoiser_recipe("mnist").model_dump() | {"epochs": 2}))
    assert recipe != denoiser_recipe("mnist")


def test_the_fitting_loop_gets_every_field_that_decides():
    recipe = DenoiserRecipe(
        log_sigma_mean=-0.3, log_sigma_std=0.7, dropped=0.2, epochs=3, batch_size=7, learning_rate=0.01, warmup=0.5, ema=0.5, seed=9
    )
    fitting = recipe.fitting()
    assert fitting.objective.startswith("gradaudit.diffusion.objective:denoising(")
    assert all(word in fitting.objective for word in ("dropped=0.2", "log_mean=-0.3", "log_std=0.7"))
    found = fitting.epochs, fitting.batch_size, fitting.learning_rate, fitting.warmup, fitting.ema, fitting.seed
    assert found == (3, 7, 0.01, 0.5, 0.5, 9)
    assert fitting.optimizer == "adamw"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("dropped", 1.5),
        ("sigma_data", 0),
        ("log_sigma_std", float("inf")),
        ("augment", "turn"),
        ("rate", 1),
        ("network", "no"),
    ],
)
def test_a_bad_field_is_named(field, value):
    with pytest.raises(InputError, match=f"^`{field}`"):
        denoiser_recipe("mnist", **{field: value})


def test_an_unknown_recipe_is_named_beside_those_there_are():
    with pytest.raises(InputError, match=r"^`recipe` .*cifar10, fashion-mnist, mnist"):
        denoiser_recipe("mnits")
