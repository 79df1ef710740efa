"""Denoisers and autoencoders: what is known of the data's manifold, and the score of the data."""

from gradaudit.diffusion.autoencoder import Autoencoder, load_autoencoder, save_autoencoder, train_autoencoder
from gradaudit.diffusion.denoiser import Denoiser, score
from gradaudit.diffusion.evaluation import denoising_error
from gradaudit.diffusion.load import load_denoiser
from gradaudit.diffusion.mixture import GaussianMixture, gaussian_mixture
from gradaudit.diffusion.recipe import DenoiserRecipe, denoiser_recipe
from gradaudit.diffusion.sampling import sample
from gradaudit.diffusion.tangents import tangent_spaces
from gradaudit.diffusion.trained import save_denoiser
from gradaudit.diffusion.training import train_denoiser

__all__ = [
    "Autoencoder",
    "Denoiser",
    "DenoiserRecipe",
    "GaussianMixture",
    "denoiser_recipe",
    "denoising_error",
    "gaussian_mixture",
    "load_autoencoder",
    "load_denoiser",
    "sample",
    "save_autoencoder",
    "save_denoiser",
    "score",
    "tangent_spaces",
    "train_autoencoder",
    "train_denoiser",
]
