"""Contingency tables of two classifications."""

import numpy as np


def contingency(rows: np.ndarray, columns: np.ndarray, classes: int) -> np.ndarray:
    """[K, K] how many of N items are in each row and column, from their classes 0 to K - 1 [N] by both."""
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)
