"""A compiled program applied to any number of rows, in portions of one shape."""

from collections.abc import Callable
from typing import Any

import numpy as np

PORTION = 64  # rows at once


def in_portions(apply: Callable[[np.ndarray], Any], rows: np.ndarray) -> np.ndarray:
    """`apply` of rows [N, ...], PORTION at a time; the last portion is filled up, so that one program is compiled."""
    parts = [rows[start : start + PORTION] for start in range(0, len(rows), PORTION)]
    return np.concatenate([np.asarray(apply(np.resize(x, (PORTION, *x.shape[1:]))))[: len(x)] for x in parts])
