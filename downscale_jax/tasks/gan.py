"""SRGAN: a generator trained with a content loss against a discriminator (docs/systems/srgan.md).

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
from downscale_jax.runtime import parallel
from downscale_jax.tasks.content import Content, Learned, spectral_distance, squared_error
from downscale_jax.tasks.super_resolution import Batch, SuperResolution
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, mean_gradients
from downscale_jax.training.state import State

GENERATOR, DISCRIMINATOR = 'generator', 'discriminator'
WON = 0.02  # loss below which no generated field deceives the discriminator any more
CHANCE_MARGIN = 0.01  # distance of the discriminator loss from ln 2 within which it is at chance level
GRACE = 200  # steps before a discriminator is expected to have learned anything


@dataclass(frozen=True)
class Gan:
    """A step of the discriminator, then one of the generator, on every batch.

    The discriminator minimises the mean cross-entropy of true fields labelled real and generated ones labelled fake;
    the generator minimises `content` plus `adversarial` times the cross-entropy of its fields labelled real. After both
    steps one network takes a second step on the same batch: the generator where the discriminator's loss before its
    step was below `balance[0]`, the discriminator where it was above `balance[1]`. Each network has its own optimiser.
    Training starts from a generator trained by `pretraining`, passed to `init`.
    """

    pretraining: SuperResolution
    discriminator: Discriminator
    content: Content
    phases: tuple[Phase, ...]  # with `per_network`: one optimiser state per network
    adversarial: float = 1e-3
    balance: tuple[float, float] = (0.46, 0.6)
    accumulate: int = 1

    draws = False

    @property
    def network(self) -> Any:
        return self.pretraining.network

    def init(self, key: jax.Array, batch: Batch, generator: Any = None, learned: Learned | None = None) -> State:
        batch = self.pretraining.whole(batch)
        if generator is None:  # enough for shapes and costs
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
            """One step of one network: (params, optimiser states) of both networks, and metrics."""
            params, opt_state = networks
            others, learned = parallel.varying((params, state.frozen))  # as `convolve` wants its kernel and its input

            def loss(own, rows):
                return losses[name]({**others, name: own}, learned, rows)

            grads, metrics, _ = mean_gradients(loss, params[name], rows, self.accumulate)
            updates, moved = rule.update({name: grads}, opt_state, params, value=metrics['loss'])
            own = optax.apply_updates(params[name], updates[name])
            metrics = {**metrics, 'gradient_norm': optax.tree.norm(grads)}
            return ({**params, name: own}, {**opt_state, **moved}), metrics

        networks = state.params, state.opt_state
        networks, of_discriminator = step(DISCRIMINATOR, networks)
        networks, metrics = step(GENERATOR, networks)
        loss = of_discriminator['loss']
        weak, strong = loss > self.balance[1], loss < self.balance[0]
        # means over all devices: every device takes the same branch
        index = weak.astype(jnp.int32) + 2 * strong.astype(jnp.int32)
        steps = [lambda n: n, lambda n: step(DISCRIMINATOR, n)[0], lambda n: step(GENERATOR, n)[0]]
        params, opt_state = jax.lax.switch(index, steps, networks)
        balance = {'discriminator': loss, 'extra_discriminator': weak, 'extra_generator': strong}
        metrics |= {name: jnp.asarray(value, jnp.float32) for name, value in balance.items()}
        return state.replace(step=state.step + 1, params=params, ema_params=params, opt_state=opt_state), metrics

    def generator_losses(self, params: Any, learned: Learned | None, rows: Batch) -> tuple[jax.Array, dict]:
        """The loss of the generator, [B], and metrics, [B]."""
        generated = self.pretraining.filled(params[GENERATOR], rows)
        content = self.content(learned, generated, rows['target'], rows.get('corners'))
        logits = jnp.asarray(self.discriminator.apply(params[DISCRIMINATOR], generated))
        adversarial = optax.sigmoid_binary_cross_entropy(logits, jnp.ones_like(logits))
        loss = content + self.adversarial * adversarial
        return loss, {'loss': loss, 'content': content, 'adversarial': adversarial}

    def discriminator_losses(self, params: Any, learned: Learned | None, rows: Batch) -> tuple[jax.Array, dict]:
        """The loss of the discriminator, [B]."""
        generated = self.pretraining.filled(params[GENERATOR], rows)
        both = jnp.concatenate([rows['target'], generated])
        real, fake = jnp.split(jnp.asarray(self.discriminator.apply(params[DISCRIMINATOR], both)), 2)
        cross_entropy = optax.sigmoid_binary_cross_entropy
        loss = (cross_entropy(real, jnp.ones_like(real)) + cross_entropy(fake, jnp.zeros_like(fake))) / 2
        return loss, {'loss': loss}

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B]. `loss`, which selects the best checkpoint, is the spectral distance: the content
        loss only rises once the adversarial loss acts."""
        batch = self.pretraining.whole(batch)
        _, metrics = self.generator_losses(state.params, state.frozen, batch)
        generated = self.pretraining.filled(state.params[GENERATOR], batch)
        truth = batch['target']
        return {**metrics, 'loss': spectral_distance(generated, truth), 'mse': squared_error(generated, truth)}

    def warn(self, step: int, means: Mapping[str, float]) -> str:
        """A warning about the steps up to this one, '' for none; `means` as in the log."""
        if step < GRACE:
            return ''
        loss = means['train/discriminator']
        if loss < WON:
            return f'the discriminator has won (loss {loss:.2g}): the generator no longer learns from it'
        if abs(loss - math.log(2)) < CHANCE_MARGIN and means['train/extra_discriminator'] > 0.9:
            return f'the discriminator is at chance level (loss {loss:.3f}, ln 2 = 0.693): it has collapsed'
        return ''

    def inference_params(self, state: State) -> Any:
        return state.params[GENERATOR]

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver | None
    ) -> jax.Array:
        """See `SuperResolution.sample`."""
        return self.pretraining.sample(params, condition, valid, noise, apply, solver)
