"""Training: recipes, objectives, the fitting loop and the store of finished fits."""

from gradaudit.training.curves import Epoch, draw_curves
from gradaudit.training.named import named_recipe, recipe_summaries
from gradaudit.training.once import train_once
from gradaudit.training.perturbations import pgd
from gradaudit.training.recipe import OBJECTIVES, Recipe
from gradaudit.training.store import Store
from gradaudit.training.trained import measure_accuracy, save_trained, train

__all__ = [
    "OBJECTIVES",
    "Epoch",
    "Recipe",
    "Store",
    "draw_curves",
    "measure_accuracy",
    "named_recipe",
    "pgd",
    "recipe_summaries",
    "save_trained",
    "train",
    "train_once",
]
