"""Principal components and pixels as rivals of autoencoders, and the scores of all codes."""

import numpy as np
from sklearn.decomposition import PCA

from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.records import Prepared

PIXELS, PROFILES, UNTRAINED = 'pixels', 'profiles', 'untrained'
ACTIVE = 0.01  # variance of the mean code of a latent that carries information


def fit(images: np.ndarray, latents: int, seed: int) -> PCA:
    """The leading components of standardised, flattened images [N, F], at most as many as images and features."""
    count = min(latents, *images.shape)
    return PCA(count, svd_solver='randomized', random_state=seed).fit(images)


def standardised(images: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Flattened images as networks see them, [N, H W C]."""
    return prepared.transform_as(ImageTransform).channels.encode(images).reshape(len(images), -1)


def active(codes: np.ndarray) -> float:
    """How many of the latents of codes [..., L] carry information."""
    return float((codes.reshape(-1, codes.shape[-1]).var(0) > ACTIVE).sum())
