"""Muon: kernels learn all directions equally fast (Jordan et al. 2024, Muon: an optimizer for hidden layers).

The momentum of a kernel, as a matrix X [M, N] from its inputs (and places) to its N outputs, is replaced by an
approximation of the nearest semi-orthogonal matrix, by the Newton-Schulz iteration

    X <- X (a I + b G + c G^2),    G = X^T X.

Each round multiplies X by a polynomial in the first G. These polynomials commute, so their product Q [N, N] is
accumulated and X is multiplied by it once. For the kernels of convolutions (M >> N) this takes a third of the
operations; a square one would take a third more.
"""

import jax
import jax.numpy as jnp
import optax

RMS = 0.2  # root mean square of the updates of AdamW over the learning rate, typically (Liu et al. 2025)
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # a, b, c (Jordan et al. 2024): most singular values end between 0.7 and 1.2
ROUNDS = 5


def muon(rate: optax.Schedule, weight_decay: float, beta2: float) -> optax.GradientTransformation:
    """Muon for kernels, AdamW with Nesterov momentum for all other parameters.

    Updates of kernels have the size of those of AdamW: both take the same learning rate (Liu et al. 2025,
    arXiv:2502.16982).
    """
    # with ns_steps=0, the momentum divided by its norm
    momentum = optax.contrib.scale_by_muon(ns_steps=0, weight_dimension_numbers=_as_matrices)

    def update(grads, state, params=None):
        updates, state = momentum.update(grads, state, params)
        return jax.tree.map(orthogonalised, updates), state

    kernels = optax.chain(
        optax.GradientTransformation(momentum.init, update),
        optax.stateless(lambda updates, _: jax.tree.map(_like_adamw, updates)),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )
    others = optax.adamw(rate, b2=beta2, weight_decay=weight_decay, nesterov=True)
    return optax.partition(
        {'muon': kernels, 'adam': others},
        lambda params: jax.tree.map(lambda p: 'muon' if p.ndim > 1 else 'adam', params),
    )


@jax.jit  # traced once for kernels of one shape
def orthogonalised(kernel: jax.Array) -> jax.Array:
    """Newton-Schulz iteration: a kernel [..., N] of norm 1 at most -> [..., N] with singular values near 1.

    In full precision: G is not computed anew in each round as by optax, and at the default precision of accelerators
    its rounding errors would grow twelvefold per round.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    if wide := matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    a, b, c = COEFFICIENTS
    with jax.default_matmul_precision('highest'):
        product = identity = jnp.eye(matrix.shape[1], dtype=matrix.dtype)
        gram = matrix.T @ matrix
        for _ in range(ROUNDS):
            factor = a * identity + b * gram + c * gram @ gram
            product, gram = product @ factor, factor @ gram @ factor
        matrix = matrix @ product
    return (matrix.T if wide else matrix).reshape(kernel.shape)


def _as_matrices(params):
    return jax.tree.map(lambda p: optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1), params)


def _like_adamw(update):
    fan_out = update.shape[-1]
    return RMS * max(update.size // fan_out, fan_out) ** 0.5 * update
