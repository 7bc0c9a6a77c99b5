"""Broadcasting of values per channel and of planes, explicit in rank as strict JAX demands."""

from typing import Any

import jax.numpy as jnp
import numpy as np


def per_channel(values: Any, like: Any) -> Any:
    """Values [C], or one for all channels, in the rank of `like` [..., C]; NumPy or JAX as `like`."""
    xp = np if isinstance(like, np.ndarray) else jnp
    return xp.asarray(values).reshape((1,) * (like.ndim - 1) + (-1,))
