"""Contingency tables of two classifications."""

import numpy as np


def contingency(rows: np.ndarray, columns: np.ndarray, classes: int) -> np.ndarray:
    """[K, K] counts of N items by their classes, 0 to K - 1, in two classifications: `rows` [N] and `columns` [N]."""
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)
