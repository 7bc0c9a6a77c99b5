"""SRGAN against the same one in PyTorch, on CPU cores: the generator forward, a step of the GAN.

    python -m experiments.benchmarks.pytorch.srgan [--threads 2]      under 3 minutes on an idle machine

Needs `pip install -e '.[benchmark]'`. Same weights and inputs in one process, measured in turn: 16 patches of 32 x 32
fine cells for the default, 4 of 96 x 96 for `:paper`, PyTorch in eager mode with channels last. A step is one of the
discriminator and one of the generator by Adam, squared error as content loss; the rule of balance is set so that
neither takes a second one. JAX twice: as XLA compiles by default, and as `runtime.compiler` tells it to, which is what
the project runs. Exits with an error where fields or logits differ by more than 1e-4 of the largest, gradients in
float64 by 1e-5, or parameters in name or shape.
"""

import dataclasses
import math
import os
from typing import Any

from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

SIZES = {'default': ('', 16), 'paper': ('paper', 4)}  # variant of the config, patches in a batch


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--threads', type=at_least(1), default=2)
    threads = parser.parse_args().threads
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # before XLA counts the cores
    os.environ['JAX_PLATFORMS'] = 'cpu'

    import jax
    import torch

    torch.set_num_threads(threads)
    print(f'JAX {jax.__version__}, PyTorch {torch.__version__}, {threads} threads, load {os.getloadavg()[0]:.1f}')
    if os.getloadavg()[0] > 1:
        print('The machine is busy: threads wait for each other, most of all in PyTorch. Measure again later.')
    print(f'\n{"milliseconds (fastest)":34}{"PyTorch":>9}{"XLA":>9}{"project":>9}   project / PyTorch')
    for name, (variant, patches) in SIZES.items():
        compare(name, variant, patches)


def compare(name: str, variant: str, patches: int) -> None:
    import jax
    import numpy as np
    import torch

    from downscale_jax.runtime import compiler, parallel
    from experiments.benchmarks.pytorch.network import from_maps
    from experiments.benchmarks.pytorch.unet import row, waiting

    config = read_config(f'configs/srgan.py:{variant}')
    task = alternating(config)
    batch = random_batch(patches, config['data']['patch'], task.network)
    state = jax.device_get(jax.jit(task.init)(jax.random.key(0), batch))
    others = in_torch(task, state.params, config['data']['patch'])
    check_outputs(task, state, batch, others)
    check_gradients(task, state, {key: x[:2] for key, x in batch.items()}, others)

    forms = {'XLA': None, 'project': compiler.options()}
    coarse = np.asarray(task.pretraining.coarse(batch['condition']))
    theirs, truth = from_maps(coarse), from_maps(batch['target'])
    generator, discriminator = others
    phase = task.phases[0]
    rules = [adam(network, phase.learning_rate) for network in others]

    class Trained:
        """A step takes what the last one left, as in training."""

        def __init__(self, options):
            self.step = jax.jit(on_mesh(task), donate_argnums=0, compiler_options=options)
            self.state, self.batch = parallel.replicate(state), parallel.split_rows(batch)

        def __call__(self):
            self.state, metrics = self.step(self.state, self.batch)
            jax.block_until_ready(metrics['loss'])

    @torch.no_grad()
    def torch_forward():
        generator(theirs)

    def torch_step():
        alternate(others, rules, theirs, truth, task.adversarial)

    counts = [sum(p.numel() for p in network.parameters()) / 1e6 for network in (generator, discriminator)]
    print(f'{name}: generator {counts[0]:.2f} M, discriminator {counts[1]:.2f} M parameters')
    given = jax.device_put((state.params['generator'], coarse))
    forward = {form: jax.jit(task.network.apply, compiler_options=options) for form, options in forms.items()}
    title = f'{patches} of {config["data"]["patch"]}^2'
    calls = {'PyTorch': torch_forward} | {form: waiting(f, *given) for form, f in forward.items()}
    row(f'  forward, {title}', calls, 8)
    row(f'  step, {title}', {'PyTorch': torch_step} | {f: Trained(o) for f, o in forms.items()}, 20)


def alternating(config: dict) -> Any:
    """The GAN of a config with the squared error, one step of each network per batch."""
    from downscale_jax.systems.srgan import build

    training = {**config['training'], 'balance': (0.0, math.inf)}
    return build({**config, 'contents': ('mse',), 'training': training})['gan_mse']


def random_batch(patches: int, side: int, network: Any) -> dict:
    """Noise, and its block means as the coarse field."""
    import numpy as np

    from downscale_jax.fields.geometry.blocks import block_mean, repeat

    fine = np.random.default_rng(0).normal(size=(patches, side, side, network.channels)).astype('f4')
    shown = repeat(block_mean(fine, network.stride), network.stride)
    mask = np.ones_like(shown[..., :1])
    return {'target': fine, 'condition': np.concatenate([shown, mask], -1), 'mask': mask > 0}


def in_torch(task: Any, params: dict, side: int) -> tuple[Any, Any]:
    """(generator, discriminator) in PyTorch with these parameters, channels last in memory."""
    import torch

    from experiments.benchmarks.pytorch.atmodist import renamed
    from experiments.benchmarks.pytorch.srgan_network import Discriminator, Generator, for_pixel_shuffle

    network, judge = task.network, task.discriminator
    generator = Generator(network.channels, network.factors, network.width, network.blocks, network.kernel)
    generator.load_state_dict(renamed(for_pixel_shuffle(params['generator'], network.factors)))
    discriminator = Discriminator(network.channels, side, judge.widths, judge.dense)
    discriminator.load_state_dict(renamed(params['discriminator']))
    return tuple(other.to(memory_format=torch.channels_last) for other in (generator, discriminator))


def adam(network: Any, learning_rate: float) -> Any:
    """As `training.optimizer` without weight decay."""
    import torch

    return torch.optim.Adam(network.parameters(), learning_rate, betas=(0.9, 0.99), fused=True)


def alternate(networks: tuple, rules: list, coarse: Any, truth: Any, adversarial: float) -> None:
    """`Gan.train_step` without the second steps; the field is generated once for both networks, as XLA does too."""
    import torch

    generator, discriminator = networks
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    found = generator(coarse)
    real, generated = discriminator(torch.cat([truth, found.detach()])).chunk(2)
    real, generated = cross_entropy(real, torch.ones_like(real)), cross_entropy(generated, torch.zeros_like(generated))
    rules[1].zero_grad()
    ((real + generated) / 2).backward()
    rules[1].step()
    judged = discriminator(found)
    deceived = cross_entropy(judged, torch.ones_like(judged))
    rules[0].zero_grad()
    # no gradients of the discriminator's own parameters
    loss = torch.nn.functional.mse_loss(found, truth) + adversarial * deceived
    loss.backward(inputs=list(generator.parameters()))
    rules[0].step()


def on_mesh(task: Any) -> Any:
    """(state, batch) -> (state, metrics), as the training loop runs it."""
    import jax

    from downscale_jax.runtime import parallel

    def step(state, rows):
        return task.train_step(state, rows, jax.random.key(0), task.phases[0])

    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS
    return jax.shard_map(step, mesh=parallel.mesh(), in_specs=(whole, rows), out_specs=whole)


def check_outputs(task: Any, state: Any, batch: dict, others: tuple) -> None:
    """Compares generated fields, and the discriminator's logits of true ones."""
    import numpy as np
    import torch

    from experiments.benchmarks.pytorch.network import from_maps

    generator, discriminator = others
    coarse = np.asarray(task.pretraining.coarse(batch['condition']))
    with torch.no_grad():
        field = generator(from_maps(coarse)).permute(0, 2, 3, 1).numpy()
        logits = discriminator(from_maps(batch['target'])).numpy()
    ours = task.network.apply(state.params['generator'], coarse)
    judged = task.discriminator.apply(state.params['discriminator'], batch['target'])
    for found, expected in ((ours, field), (judged, logits)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def check_gradients(task: Any, state: Any, batch: dict, others: tuple) -> None:
    """Gradients of both networks, by the first moments that Adam keeps after a whole step: a tenth of the gradient.

    In float64: in float32, rounding that takes one activation past zero changes the gradients before it. The
    adversarial loss weighs as much as the squared error; otherwise errors in its gradient would stay within the
    tolerance.
    """
    import copy

    import jax
    import numpy as np
    import optax

    from downscale_jax.training import state as states
    from downscale_jax.training.optimizer import create
    from experiments.benchmarks.pytorch.atmodist import renamed
    from experiments.benchmarks.pytorch.network import from_maps
    from experiments.benchmarks.pytorch.srgan_network import for_pixel_shuffle

    phase, exact = task.phases[0], {key: x if x.dtype == bool else x.astype(np.float64) for key, x in batch.items()}
    twins = tuple(copy.deepcopy(network).double() for network in others)
    rules = [adam(network, phase.learning_rate) for network in twins]
    coarse = np.asarray(task.pretraining.coarse(exact['condition']))
    alternate(twins, rules, from_maps(coarse), from_maps(exact['target']), adversarial=1.0)
    with jax.enable_x64(True):
        alone = dataclasses.replace(task.pretraining, network=task.network.clone(dtype=np.float64))
        judge = task.discriminator.clone(dtype=np.float64)
        doubled = dataclasses.replace(task, pretraining=alone, discriminator=judge, adversarial=1.0)
        params = jax.tree.map(lambda x: x.astype(np.float64), state.params)
        after, _ = jax.jit(on_mesh(doubled))(states.create(params, create(phase)), exact)
        moments = {key: optax.tree.get(own, 'mu') for key, own in jax.device_get(after.opt_state).items()}
    ours = {
        'generator': renamed(for_pixel_shuffle(moments['generator'], task.network.factors)),
        'discriminator': renamed(moments['discriminator']),
    }
    for (which, found), network, rule in zip(ours.items(), twins, rules, strict=True):
        expected = {key: rule.state[parameter]['exp_avg'] for key, parameter in network.named_parameters()}
        largest = max(float(moment.abs().max()) for moment in expected.values())
        for key, moment in expected.items():
            np.testing.assert_allclose(found[key], moment, rtol=0, atol=1e-5 * largest, err_msg=f'{which}, {key}')


if __name__ == '__main__':
    run_program(main)
