"""Distances between items, and the energy distance of two groups with a permutation test (Székely and Rizzo 2013)."""

from typing import NamedTuple

import numpy as np


def between(codes: np.ndarray) -> np.ndarray:
    """[M, M] root of the squared distance of items [M, ..., F], averaged over all axes but the first."""
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    squares = np.square(flat).sum(1)
    squared = squares[:, None] + squares - 2 * flat @ flat.T
    return np.sqrt(np.maximum(squared, 0) / flat.shape[1])


class Separation(NamedTuple):
    """How far two groups are apart."""

    share: float  # of the mean distance between groups that exceeds the distances within them, 0 to 1
    p_value: float  # that groups drawn at random are as far apart


def separation(distance: np.ndarray, label: np.ndarray, permutations: int, seed: int) -> Separation:
    """Energy distance of two groups of items with distances [M, M] over twice the mean distance between them, and its
    p-value by permutation of the labels [M]."""
    rng = np.random.default_rng(seed)
    value = energy_share(distance, label == label[0])
    drawn = [energy_share(distance, rng.permutation(label) == label[0]) for _ in range(permutations)]
    return Separation(value, (1 + np.sum(np.array(drawn) >= value)) / (1 + permutations))


def energy_share(distance: np.ndarray, mine: np.ndarray) -> float:
    """1 minus the mean distance within groups over that between them, each group with equal weight; pairs of an item
    with itself do not count."""
    across = distance[mine][:, ~mine].mean()
    within = [distance[group][:, group].sum() / (group.sum() * (group.sum() - 1)) for group in (mine, ~mine)]
    return float(1 - np.mean(within) / across)
