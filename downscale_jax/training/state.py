"""Train state and its update."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct


class State(struct.PyTreeNode):
    """All that a restart needs besides the data, without a device axis: saved and restored as it is."""

    step: jax.Array  # steps done in all phases
    phase: jax.Array  # index of the phase of the last step
    params: Any
    ema_params: Any
    frozen: Any  # parameters of networks that are not trained here
    opt_state: Any
    stats: Any  # running averages of batch statistics; None for networks without


def create(params: Any, optimizer: optax.GradientTransformation, frozen: Any = None, stats: Any = None) -> State:
    """The state at step 0; the running average starts from the parameters."""
    return State(
        step=jnp.zeros((), jnp.int32),
        phase=jnp.zeros((), jnp.int32),
        params=params,
        ema_params=jax.tree.map(jnp.copy, params),  # a copy: both are donated
        frozen=frozen,
        opt_state=optimizer.init(params),
        stats=stats,
    )


def enter_phase(state: State, phase: int, optimizer: optax.GradientTransformation, keep_moments: bool = False) -> State:
    """The state at the start of a later phase, with a new optimiser state, in which the moments may be the old ones."""
    opt_state = optimizer.init(state.params)
    if keep_moments:
        opt_state = with_moments(opt_state, state.opt_state)
    return state.replace(phase=jnp.asarray(phase, jnp.int32), opt_state=opt_state)


def with_moments(state: Any, before: Any) -> Any:
    """The optimiser state `state` with the moments of another, `before`, of the same optimiser."""

    def holds_moments(node):
        return isinstance(node, optax.TraceState | optax.ScaleByAdamState | optax.contrib.MuonState)

    moments = iter([node for node in jax.tree.leaves(before, is_leaf=holds_moments) if holds_moments(node)])
    return jax.tree.map(lambda node: next(moments) if holds_moments(node) else node, state, is_leaf=holds_moments)


def apply_gradients(
    state: State, grads: Any, loss: jax.Array, optimizer: optax.GradientTransformationExtraArgs, ema_decay: float
) -> State:
    """One optimiser step, and one step of the running average with decay min(ema_decay, (1 + n) / (10 + n)).

    The warm-up of the decay lets the average forget the initial network, which outputs zero, within a few steps. With
    `ema_decay` 0 the average equals the parameters. `loss` drives a plateau rule, if the optimiser has one.
    """
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params, value=loss)
    params = optax.apply_updates(state.params, updates)
    n = state.step.astype(jnp.float32)
    decay = jnp.minimum(ema_decay, (1 + n) / (10 + n))
    ema_params = optax.incremental_update(params, state.ema_params, 1 - decay)
    return state.replace(step=state.step + 1, params=params, ema_params=ema_params, opt_state=opt_state)
