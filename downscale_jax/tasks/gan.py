"""SRGAN: a generator that a content loss keeps true and a discriminator keeps sharp (docs/systems/srgan.md).

Ledig et al. 2017, https://arxiv.org/abs/1609.04802; with a learned content loss Hoffmann and Lessig 2022,
https://arxiv.org/abs/2202.01897.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.models.srgan import Discriminator
from downscale_jax.tasks.content import Content, Learned, spectral_distance, squared_error
from downscale_jax.tasks.super_resolution import Batch, SuperResolution
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, mean_gradients
from downscale_jax.training.state import State

GENERATOR, DISCRIMINATOR = 'generator', 'discriminator'
WON = 0.02  # loss of a discriminator that no generated field deceives any more
BLIND = 0.01  # how near ln 2 the loss of one is that tells nothing apart
GRACE = 200  # steps in which a discriminator may know nothing yet


@dataclass(frozen=True)
class Gan:
    """Alternates a step of the discriminator and one of the generator on every batch.

    The discriminator minimises the mean cross-entropy of true fields as real and generated ones as not; the generator
    `content` plus `adversarial` times the cross-entropy of its fields as real. After both, where the discriminator's
    loss on this batch, before its step, lay under `balance[0]` the generator, and where over `balance[1]` the
    discriminator, takes a second step.
    Each has its own optimiser. It starts from a generator trained by `pretraining`, handed over at `init`.
    """

    pretraining: SuperResolution
    discriminator: Discriminator
    content: Content
    phases: tuple[Phase, ...]  # apart: an optimiser for each network
    adversarial: float = 1e-3
    balance: tuple[float, float] = (0.46, 0.6)
    accumulate: int = 1

    draws = False

    @property
    def network(self) -> Any:
        return self.pretraining.network

    def init(self, key: jax.Array, batch: Batch, generator: Any = None, learned: Learned | None = None) -> State:
        batch = self.pretraining.whole(batch)
        if generator is None:  # for shapes and costs
            generator = self.pretraining.init(key, batch).params
        discriminator = self.discriminator.init(key, jnp.zeros((1, *batch['target'].shape[1:])))
        params = {GENERATOR: generator, DISCRIMINATOR: discriminator}
        return states.create(params, create(self.phases[0]), frozen=learned)

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        rule, batch = create(phase), self.pretraining.whole(batch)
        rows = {name: batch[name] for name in ('target', 'condition', 'mask')}
        rows['corners'] = self.content.corners(key, len(rows['target']))
        losses = {GENERATOR: self.generator_losses, DISCRIMINATOR: self.discriminator_losses}

        def step(name: str, networks: tuple[Any, Any]) -> tuple[tuple[Any, Any], dict]:
            """One step of one network: (params, optimiser states) of both, metrics."""
            params, opt_state = networks

            def loss(own, rows):
                return losses[name]({**params, name: own}, state.frozen, rows)

            grads, metrics, _ = mean_gradients(loss, params[name], rows, self.accumulate)
            updates, moved = rule.update({name: grads}, opt_state, params, value=metrics['loss'])
            own = optax.apply_updates(params[name], updates[name])
            metrics = {**metrics, 'gradient_norm': optax.tree.norm(grads)}
            return ({**params, name: own}, {**opt_state, **moved}), metrics

        networks = state.params, state.opt_state
        networks, judged = step(DISCRIMINATOR, networks)
        networks, metrics = step(GENERATOR, networks)
        weak, strong = judged['loss'] > self.balance[1], judged['loss'] < self.balance[0]
        # means over all devices: every device takes the same branch
        index = weak.astype(jnp.int32) + 2 * strong.astype(jnp.int32)
        steps = [lambda n: n, lambda n: step(DISCRIMINATOR, n)[0], lambda n: step(GENERATOR, n)[0]]
        params, opt_state = jax.lax.switch(index, steps, networks)
        told = {'discriminator': judged['loss'], 'extra_discriminator': weak, 'extra_generator': strong}
        metrics = {**metrics, **{name: jnp.asarray(value, jnp.float32) for name, value in told.items()}}
        return state.replace(step=state.step + 1, params=params, ema_params=params, opt_state=opt_state), metrics

    def generator_losses(self, params: Any, learned: Learned | None, rows: Batch) -> tuple[jax.Array, dict]:
        """What the generator minimises, [B], and metrics [B]."""
        found = self.pretraining.filled(params[GENERATOR], rows)
        content = self.content(learned, found, rows['target'], rows.get('corners'))
        judged = jnp.asarray(self.discriminator.apply(params[DISCRIMINATOR], found))
        deceived = optax.sigmoid_binary_cross_entropy(judged, jnp.ones_like(judged))
        loss = content + self.adversarial * deceived
        return loss, {'loss': loss, 'content': content, 'adversarial': deceived}

    def discriminator_losses(self, params: Any, learned: Learned | None, rows: Batch) -> tuple[jax.Array, dict]:
        """What the discriminator minimises, [B]."""
        found = self.pretraining.filled(params[GENERATOR], rows)
        both = jnp.concatenate([rows['target'], found])
        real, generated = jnp.split(jnp.asarray(self.discriminator.apply(params[DISCRIMINATOR], both)), 2)
        cross_entropy = optax.sigmoid_binary_cross_entropy
        loss = (cross_entropy(real, jnp.ones_like(real)) + cross_entropy(generated, jnp.zeros_like(generated))) / 2
        return loss, {'loss': loss}

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Per example, [B]. The `loss` by which the best checkpoint is chosen is the distance of the spectra: the
        content loss only rises once the discriminator has a say."""
        batch = self.pretraining.whole(batch)
        _, metrics = self.generator_losses(state.params, state.frozen, batch)
        found = self.pretraining.filled(state.params[GENERATOR], batch)
        truth = batch['target']
        return {**metrics, 'loss': spectral_distance(found, truth), 'mse': squared_error(found, truth)}

    def warn(self, step: int, means: Mapping[str, float]) -> str:
        """What a user should know about the steps up to this one, '' for nothing; means as in the log."""
        if step < GRACE:
            return ''
        loss = means['train/discriminator']
        if loss < WON:
            return f'the discriminator has won (loss {loss:.2g}): the generator learns nothing from it any more'
        if abs(loss - math.log(2)) < BLIND and means['train/extra_discriminator'] > 0.9:
            return f'the discriminator tells nothing apart (loss {loss:.3f}, a coin has 0.693): it has collapsed'
        return ''

    def inference_params(self, state: State) -> Any:
        return state.params[GENERATOR]

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver
    ) -> jax.Array:
        """As the pre-trained generator."""
        return self.pretraining.sample(params, condition, valid, noise, apply, solver)
