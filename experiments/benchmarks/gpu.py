"""The U-Net against the same one in PyTorch, on a GPU: training step and sampling, in float32 and bfloat16.

    python -m experiments.benchmarks.gpu [--card H200] [--size default]       needs a CUDA build of JAX and of PyTorch

JAX jitted against torch.compile with channels last, same weights, in turn in one process; float32 without TF32,
bfloat16 with parameters in float32 (autocast in PyTorch). A training step is forward, backward and AdamW on 64 x 64
cells; a sample is a field of 128 x 128 cells by DPM-Solver++ with ten evaluations. The rate counts the multiplications
and additions of the convolutions alone, three times the forward pass for a training step. Not measured so far.
"""

import itertools
import math
import os
import sys

from experiments.command_line import Parser, at_least, run_program

# TFLOP/s of the data sheets, dense: float32 outside the tensor cores, bfloat16 within
CARDS = {'A100': (19.5, 312.0), 'H100': (66.9, 989.4), 'H200': (66.9, 989.4)}
PRECISIONS = {'float32': 0, 'bfloat16': 1}
CELLS, EVALUATIONS = 128, 10


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--card', choices=CARDS, default='H200', help='rates are given as shares of its peak')
    parser.add_argument('--size', choices=('default', 'paper'), default='default')
    parser.add_argument('--batch', type=at_least(1), default=128, help='patches of a training step')
    parser.add_argument('--fields', type=at_least(1), default=32, help='fields sampled at once')
    args = parser.parse_args()
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')  # the card is shared with PyTorch

    import jax
    import torch

    if not (torch.cuda.is_available() and jax.default_backend() == 'gpu'):
        sys.exit('there is no GPU that both JAX and PyTorch can use: nothing is measured')
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    jax.config.update('jax_default_matmul_precision', 'highest')
    print(f'JAX {jax.__version__}, PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, size {args.size}')
    print(f'{"":32}{"ms":>9}{"TFLOP/s":>9}{"of peak":>9}{"a second":>10}   JAX / PyTorch, time')
    for dtype, column in PRECISIONS.items():
        compare(args.size, dtype, args.batch, args.fields, CARDS[args.card][column], 'cuda')


def compare(size: str, dtype: str, batch: int, fields: int, peak: float, device: str, seconds: float = 10.0) -> None:
    """Prints training step and sampling of both; `peak` in TFLOP/s."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import torch

    from downscale_jax.diffusion.samplers import Solver
    from downscale_jax.diffusion.schedule import CosineSchedule, clean
    from downscale_jax.models.unet import UNet
    from experiments.benchmarks.pytorch.network import SIZES, from_maps, load, random_params
    from experiments.benchmarks.pytorch.network import UNet as TorchUNet

    settings, channels = SIZES[size]
    rng = np.random.default_rng(0)

    def maps(count: int, cells: int, depth: int) -> np.ndarray:
        return rng.normal(size=(count, cells, cells, depth)).astype('f4')

    x, target, condition = maps(batch, 64, 1), maps(batch, 64, 1), maps(batch, 64, channels)
    noise, wide, level = maps(fields, CELLS, 1), maps(fields, CELLS, channels), rng.random(batch).astype('f4')
    network, other = UNet(1, dtype=jnp.dtype(dtype), **settings), TorchUNet(channels, **settings)
    params = random_params(jax.eval_shape(network.init, jax.random.key(0), x, condition, level))
    load(other, params)
    other = other.to(device, memory_format=torch.channels_last)
    compiled = torch.compile(other)
    cast = torch.autocast(device, torch.bfloat16, enabled=dtype == 'bfloat16')
    schedule, solver = CosineSchedule(), Solver('dpm_solver', EVALUATIONS, 'half_log_snr', 0.0)

    rule = optax.adamw(1e-4, b2=0.99, weight_decay=1e-4)
    descent = torch.optim.AdamW(other.parameters(), 1e-4, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    on_device = jax.device_put((x, condition, level, target))

    def step(state, x, condition, level, target):
        params, moments = state
        gradient = jax.grad(lambda p: jnp.mean(jnp.square(network.apply(p, x, condition, level) - target)))(params)
        updates, moments = rule.update(gradient, moments, params)
        return optax.apply_updates(params, updates), moments

    def sample(params, noise, condition):
        def denoise(z, gamma):
            angles = jnp.full(len(z), gamma)
            output = jnp.asarray(network.apply(params, z, condition, angles / (jnp.pi / 2)))
            return clean(output, z, angles, 'v')

        return solver.solve(denoise, lambda _: noise, schedule)

    step, sample = jax.jit(step, donate_argnums=0), jax.jit(sample)
    state = jax.device_put((params, rule.init(params)))

    def jax_step():
        nonlocal state
        state = jax.block_until_ready(step(state, *on_device))

    theirs = from_maps(x, device), from_maps(condition, device), torch.tensor(level, device=device)
    wanted = from_maps(target, device)

    def torch_step():
        descent.zero_grad()
        with cast:
            output = compiled(*theirs)
        torch.mean(torch.square(output - wanted)).backward()
        descent.step()
        wait(device)

    generated = jax.device_put((params, noise, wide))
    torch_noise, torch_wide = from_maps(noise, device), from_maps(wide, device)
    gammas = solver.gammas(schedule).tolist()

    def torch_sample():
        with torch.no_grad(), cast:
            found = torch_dpm_solver(compiled, torch_noise, torch_wide, gammas)
        wait(device)
        return found

    # weights are still the same ones; eight bits of mantissa in bfloat16
    ours = np.asarray(sample(*generated))
    apart = np.abs(ours - torch_sample().float().permute(0, 2, 3, 1).cpu().numpy()).max() / np.abs(ours).max()
    assert apart < {'float32': 1e-3, 'bfloat16': 0.3}[dtype], f'the samples are {apart:.1e} of the largest value apart'
    work = flops(other, from_maps(x[:1], device), from_maps(condition[:1], device), theirs[2][:1])
    report(
        f'{dtype}, training step',
        {'PyTorch': torch_step, 'JAX': jax_step},
        (batch, 3 * batch * work, peak, seconds),
    )
    report(
        f'{dtype}, sampling',
        {'PyTorch': torch_sample, 'JAX': lambda: sample(*generated).block_until_ready()},
        (fields, fields * EVALUATIONS * work * (CELLS / 64) ** 2, peak, seconds),
    )


def torch_dpm_solver(network, z, condition, gammas: list[float]):
    """`diffusion.samplers.dpm_solver`, v predicted."""
    import torch

    before, h_before = torch.zeros_like(z), math.inf

    def denoise(z, gamma):
        return math.cos(gamma) * z - math.sin(gamma) * network(
            z, condition, z.new_full(z.shape[:1], gamma / (math.pi / 2))
        )

    for here, there in itertools.pairwise(gammas):
        x0 = denoise(z, here)
        h = math.log(math.tan(here) / math.tan(there))
        x = x0 + h / (2 * h_before) * (x0 - before)
        z = math.sin(there) / math.sin(here) * z - math.cos(there) * math.expm1(-h) * x
        before, h_before = x0, h
    return denoise(z, gammas[-1])


def wait(device: str) -> None:
    import torch

    if device == 'cuda':
        torch.cuda.synchronize()


def flops(network, *args) -> int:
    """Of the convolutions in a forward pass over one patch."""
    from experiments.benchmarks.pytorch.network import convolutions

    return sum(2 * cells**2 * size**2 * i * o for cells, i, o, size in convolutions(network, *args))


def report(title: str, calls: dict, scale: tuple[int, float, float, float]) -> None:
    from experiments.benchmarks.timing import ratio, times

    maps, work, peak, seconds = scale
    found = times(calls, seconds)
    for name, values in found.items():
        best = values.min()
        rate = work / best / 1e12
        last = f'   {ratio(found["JAX"], found["PyTorch"])}' if name == 'JAX' else ''
        print(
            f'{title + ", " + name:32}{1e3 * best:9.2f}{rate:9.2f}{rate / peak:9.1%}{maps / best:10.0f}{last}',
            flush=True,
        )


if __name__ == '__main__':
    run_program(main)
