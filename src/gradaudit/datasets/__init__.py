"""Where images come from: one function a data set, found by its name."""

from gradaudit.datasets.blocks import blocks
from gradaudit.datasets.describe import data_sets, describe_images
from gradaudit.datasets.load import load_images
from gradaudit.datasets.save import save_images
from gradaudit.datasets.theory import COORDINATE_NORMALISATION, block_vectors, block_vectors_normalisation, coordinate_images
from gradaudit.datasets.triggers import trigger

__all__ = [
    "COORDINATE_NORMALISATION",
    "block_vectors",
    "block_vectors_normalisation",
    "blocks",
    "coordinate_images",
    "data_sets",
    "describe_images",
    "load_images",
    "save_images",
    "trigger",
]
