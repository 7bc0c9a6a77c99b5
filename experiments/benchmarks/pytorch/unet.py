"""The U-Net against the same one in PyTorch, on CPU cores: forward pass, training step, single convolutions.

    python -m experiments.benchmarks.pytorch.unet [--threads 2]      under 4 minutes on an idle machine

Needs `pip install -e '.[benchmark]'`. Same weights and inputs in one process, both on the first cores, measured in
turn: batch 16, 64 x 64 cells, PyTorch in eager mode with channels last. JAX twice: as XLA compiles by default, and as
`runtime.compiler` tells it to, which is what the project runs. Exits with an error where the outputs differ by more
than 1e-4 of the largest, or the parameters in number.
"""

import os
from collections import Counter
from functools import partial

from experiments.command_line import Parser, at_least, run_program

BATCH, CELLS = 16, 64


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--threads', type=at_least(1), default=2)
    threads = parser.parse_args().threads
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # before XLA counts the cores
    os.environ['JAX_PLATFORMS'] = 'cpu'

    import jax
    import torch

    from experiments.benchmarks.pytorch.network import SIZES

    torch.set_num_threads(threads)
    print(f'JAX {jax.__version__}, PyTorch {torch.__version__}, {threads} threads, load {os.getloadavg()[0]:.1f}')
    if os.getloadavg()[0] > 1:
        print('The machine is busy: threads wait for each other, most of all in PyTorch. Measure again later.')
    print(f'\n{"milliseconds (fastest)":34}{"PyTorch":>9}{"XLA":>9}{"project":>9}   project / PyTorch')
    shapes = {name: networks(name) for name in SIZES}
    print('\nThe convolutions that cost most, by size; batch 16, the same columns')
    for name, counts in shapes.items():
        for shape, count in sorted(counts.items(), key=lambda item: -item[1] * cost(item[0]))[:5]:
            convolution(name, count, shape)


def networks(name: str) -> Counter:
    """Measures forward pass and training step of a size; returns its convolutions and how often each occurs."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import torch

    from downscale_jax.models.unet import UNet
    from downscale_jax.runtime import compiler
    from experiments.benchmarks.pytorch.network import SIZES, convolutions, from_maps, load, random_params
    from experiments.benchmarks.pytorch.network import UNet as TorchUNet

    settings, channels = SIZES[name]
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(2, BATCH, CELLS, CELLS, 1)).astype('f4')
    args = x, rng.normal(size=(BATCH, CELLS, CELLS, channels)).astype('f4'), rng.random(BATCH).astype('f4')
    network, other = UNet(1, **settings), TorchUNet(channels, **settings).to(memory_format=torch.channels_last)
    params = random_params(jax.eval_shape(network.init, jax.random.key(0), *args))
    load(other, params)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert count == sum(p.numel() for p in other.parameters())
    theirs, wanted = (from_maps(args[0]), from_maps(args[1]), torch.tensor(args[2])), from_maps(target)

    rule = optax.adamw(1e-4, b2=0.99, weight_decay=1e-4)
    descent = torch.optim.AdamW(other.parameters(), 1e-4, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    jitted = {'XLA': None, 'project': compiler.options()}
    forward = {form: jax.jit(network.apply, compiler_options=options) for form, options in jitted.items()}
    with torch.no_grad():
        expected = other(*theirs).permute(0, 2, 3, 1).numpy()
    for apply in forward.values():
        np.testing.assert_allclose(apply(params, *args), expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    def step(params, state):
        gradient = jax.grad(lambda p: jnp.mean(jnp.square(network.apply(p, *args) - target)))(params)
        updates, state = rule.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    def torch_step():
        descent.zero_grad()
        torch.mean(torch.square(other(*theirs) - wanted)).backward()
        descent.step()

    @torch.no_grad()
    def torch_forward():
        other(*theirs)

    class Trained:
        """A step reuses the memory of the parameters that the last one left, as in training."""

        def __init__(self, options):
            self.step = jax.jit(step, donate_argnums=(0, 1), compiler_options=options)
            self.state = jax.tree.map(jnp.array, (params, rule.init(params)))

        def __call__(self):
            self.state = jax.block_until_ready(self.step(*self.state))

    on_device = jax.device_put((params, *args))
    row(
        f'{name}, {count / 1e6:.2f} M: forward',
        {'PyTorch': torch_forward} | {form: waiting(f, *on_device) for form, f in forward.items()},
        8,
    )
    steps = {form: Trained(options) for form, options in jitted.items()}
    row(f'{name}, {count / 1e6:.2f} M: training step', {'PyTorch': torch_step} | steps, 20)
    return Counter(convolutions(other, *theirs))


def convolution(name: str, count: int, shape: tuple[int, int, int, int]) -> None:
    """Measures a convolution of these (cells a side, inputs, outputs, kernel size) and its two gradients."""
    import jax
    import numpy as np
    import torch

    from downscale_jax.runtime import compiler
    from experiments.benchmarks.pytorch.network import from_maps

    cells, inputs, outputs, size = shape
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(BATCH, cells, cells, c)).astype('f4') for c in (inputs, outputs))
    kernel = rng.normal(size=(size, size, inputs, outputs)).astype('f4')
    dims = ('NHWC', 'HWIO', 'NHWC')
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1, 1), padding='SAME', dimension_numbers=dims)
    forms = {
        'forward': lambda x, w, y: convolve(x, w),
        'input gradient': lambda x, w, y: jax.vjp(lambda x: convolve(x, w), x)[1](y)[0],
        'filter gradient': lambda x, w, y: jax.vjp(lambda w: convolve(x, w), w)[1](y)[0],
    }
    theirs, weight = (from_maps(x), from_maps(y)), torch.tensor(kernel).permute(3, 2, 0, 1)
    weight = weight.contiguous(memory_format=torch.channels_last)
    half = [size // 2] * 2

    def gradient(which: list[bool]) -> None:
        torch.ops.aten.convolution_backward(
            theirs[1], theirs[0], weight, None, [1, 1], half, [1, 1], False, [0, 0], 1, which
        )

    torch_calls = {
        'forward': lambda: torch.nn.functional.conv2d(theirs[0], weight, padding=half),
        'input gradient': lambda: gradient([True, False, False]),
        'filter gradient': lambda: gradient([False, True, False]),
    }
    arrays = jax.device_put((x, kernel, y))
    print(f'{name}: {count} times {size} x {size}, {inputs} to {outputs} channels, {cells} x {cells} cells')
    for form, function in forms.items():
        jitted = {'XLA': jax.jit(function), 'project': jax.jit(function, compiler_options=compiler.options())}
        calls = {which: waiting(f, *arrays) for which, f in jitted.items()}
        row(f'  {form}', {'PyTorch': torch_calls[form], **calls}, 0.8)


def cost(shape: tuple[int, int, int, int]) -> int:
    """Multiplications for one map."""
    cells, inputs, outputs, size = shape
    return cells**2 * size**2 * inputs * outputs


def waiting(function, *args):
    return lambda: function(*args).block_until_ready()


def row(title: str, calls: dict, seconds: float) -> dict[str, float]:
    """Prints a line of the table; returns the fastest of each, in seconds."""
    from experiments.benchmarks.timing import ratio, times

    found = times(calls, seconds)
    best = ''.join(f'{1e3 * values.min():9.2f}' for values in found.values())
    print(f'{title:34}{best}   {ratio(found["project"], found["PyTorch"])}', flush=True)
    return {name: float(values.min()) for name, values in found.items()}


if __name__ == '__main__':
    run_program(main)
