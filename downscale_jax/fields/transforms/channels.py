"""Explicit broadcasting of values by channel; implicit rank promotion is an error in tests."""

from typing import Any


def per_channel(values: Any, x: Any) -> Any:
    """`values` [C] with the rank of `x` [..., C]."""
    return values.reshape((1,) * (x.ndim - 1) + values.shape)
