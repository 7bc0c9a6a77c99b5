"""Rivals of the autoencoders: principal components of the same size, and the pixels themselves."""

from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA

PIXELS, UNTRAINED = 'pixels', 'untrained'


class Components(NamedTuple):
    """Principal components of standardised, flattened images."""

    model: PCA

    def codes(self, images: np.ndarray) -> np.ndarray:
        """[N, F] -> [N, L]."""
        return self.model.transform(images)

    def images(self, codes: np.ndarray) -> np.ndarray:
        """[N, L] -> [N, F]."""
        return self.model.inverse_transform(codes)


def fit(images: np.ndarray, latents: int, seed: int) -> Components:
    """The leading components of images [N, F], at most as many as images and features."""
    count = min(latents, *images.shape)
    return Components(PCA(count, svd_solver='randomized', random_state=seed).fit(images))
