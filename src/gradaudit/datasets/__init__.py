"""Where images come from: one function a data set, found by its name."""

from gradaudit.datasets.describe import data_sets, describe_images
from gradaudit.datasets.load import load_images
from gradaudit.datasets.save import save_images

__all__ = ["data_sets", "describe_images", "load_images", "save_images"]
