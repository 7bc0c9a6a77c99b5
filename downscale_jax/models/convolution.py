"""Convolutions with gradients that are fast inside branches and loops on CPUs.

XLA's CPU backend has a fast implementation for convolutions of maps [B, H, W, C] with kernels [h, w, C, C'], and
transposes other layouts to this form, but not inside `cond`, `switch`, `while` and `scan`. JAX's gradients of
convolutions have other layouts and take 20 to 160 times as long in there. The gradients below have the fast layout from
the start. Accelerators use JAX's own gradients.

The platform is chosen while tracing. `lax.platform_dependent` compiles to the same program on a CPU (equal operations,
time and memory), but traces both variants: tracing and lowering a gradient of AtmoDist's encoder took 2.4 s instead of
1.3 s.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

AXES = ('NHWC', 'HWIO', 'NHWC')
Pads = tuple[tuple[int, int], ...]


def convolve(x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any, **options: Any) -> jax.Array:
    """Replaces `lax.conv_general_dilated` in flax's `nn.Conv(conv_general_dilated=...)`, without dilation or groups.

    Inside `sharded`, `x` and `kernel` must both vary over the devices, or neither, to be differentiated.
    """
    if jax.default_backend() != 'cpu':
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    return _convolve(x, kernel, tuple(strides), tuple((low, high) for low, high in padding))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], pads: Pads) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=AXES)


def _forward(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], pads: Pads):
    return _convolve(x, kernel, strides, pads), (x, kernel)


def _backward(strides: tuple[int, ...], pads: Pads, kept: tuple[jax.Array, jax.Array], g: jax.Array):
    x, kernel = kept
    taps, sides = kernel.shape[:2], x.shape[1:3]
    spans = [(n - 1) * stride + 1 for n, stride in zip(g.shape[1:3], strides, strict=True)]
    # the barriers keep XLA from folding the transpositions into a slow layout
    turned = lax.optimization_barrier(jnp.flip(kernel, (0, 1)).swapaxes(2, 3))
    before = [n - 1 - low for n, (low, _) in zip(taps, pads, strict=True)]
    around = [(b, side - span - b + n - 1) for b, side, span, n in zip(before, sides, spans, taps, strict=True)]
    dx = lax.conv_general_dilated(g, turned, (1, 1), around, lhs_dilation=strides, dimension_numbers=AXES)
    # channels and examples change places
    images, filters = lax.optimization_barrier((jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(g, (1, 2, 0, 3))))
    around = [
        (low, n - side - low + span - 1) for (low, _), n, side, span in zip(pads, taps, sides, spans, strict=True)
    ]
    dk = lax.conv_general_dilated(images, filters, (1, 1), around, rhs_dilation=strides, dimension_numbers=AXES)
    return dx, jnp.transpose(dk, (1, 2, 0, 3))


_convolve.defvjp(_forward, _backward)
