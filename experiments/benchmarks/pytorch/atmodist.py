"""AtmoDist's network against the same one in PyTorch, on CPU cores: patches encoded a second, training step.

    python -m experiments.benchmarks.pytorch.atmodist [--threads 2]      under 3 minutes on an idle machine

Needs `pip install -e '.[benchmark]'`. Same weights, statistics and inputs in one process, measured in turn: 64 pairs of
32 x 32 cells for the default, 8 pairs of 160 x 160 for `:paper`, PyTorch in eager mode with channels last. JAX twice:
as XLA compiles by default, and as `runtime.compiler` tells it to, which is what the project runs. Exits with an error
where logits differ by more than 1e-4 of the largest, gradients in float64 by 1e-5, or parameters in name or shape.
"""

import os
from typing import Any

from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

SIZES = {'default': ('', 64), 'paper': (':paper', 8)}  # variant of the config, pairs in a batch


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
    print(f'\n{"milliseconds (fastest)":40}{"PyTorch":>9}{"XLA":>9}{"project":>9}   project / PyTorch')
    for name, (variant, pairs) in SIZES.items():
        compare(name, variant.removeprefix(':'), pairs)


def compare(name: str, variant: str, pairs: int) -> None:
    import jax
    import numpy as np
    import optax
    import torch

    from downscale_jax.models import atmodist
    from downscale_jax.runtime import compiler, parallel
    from experiments.benchmarks.pytorch.network import from_maps
    from experiments.benchmarks.pytorch.siamese import Encoder, Siamese, Tail
    from experiments.benchmarks.pytorch.unet import row, waiting

    config = read_config(f'configs/atmodist.py:{variant}')
    model, side, classes = config['model'], config['data']['patch'], config['data']['lags']
    size = tuple(model['widths']), model['blocks'], model['stem'], model['pool'], model['momentum']
    network = atmodist.Siamese(atmodist.Encoder(*size), atmodist.Tail(classes, model['tail'], model['momentum']))
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, pairs, side, side, 2)).astype('f4')
    lag = rng.integers(0, classes, pairs)
    variables = jax.device_get(jax.jit(network.init)(jax.random.key(0), first[:1], second[:1]))
    cells = -(-side // 2 ** (len(model['widths']) + int(model['pool'])))
    other = Siamese(Encoder(2, *size), Tail(2 * model['widths'][-1], cells, model['tail'], classes, model['momentum']))
    other.load_state_dict({**other.state_dict(), **renamed(variables)})
    other = other.to(memory_format=torch.channels_last)
    theirs, wanted = (from_maps(first), from_maps(second)), torch.tensor(lag)

    def loss(params: Any, stats: Any) -> tuple[jax.Array, Any]:
        logits, moved = network.apply(
            {'params': params, 'batch_stats': stats}, first, second, train=True, mutable=['batch_stats']
        )
        return optax.softmax_cross_entropy_with_integer_labels(logits, lag).mean(), moved['batch_stats']

    def mapped(function, options):
        """As training runs it, where batch statistics are those of an axis, on one device."""
        call = jax.shard_map(
            function, mesh=parallel.mesh(), in_specs=parallel.REPLICATED, out_specs=parallel.REPLICATED
        )
        return jax.jit(call, compiler_options=options)

    forms = {'XLA': None, 'project': compiler.options()}
    other.eval()
    with torch.no_grad():
        expected = other(*theirs).numpy()
    logits = np.asarray(network.apply(variables, first, second))
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    check_gradients(network, variables, other, (first, second), lag)

    encoder, both = network.encoder, np.concatenate([first, second])
    both_theirs, rule = torch.cat(theirs).contiguous(memory_format=torch.channels_last), optax.adam(1e-3)
    descent = torch.optim.Adam(other.parameters(), 1e-3, fused=True)

    def step(params, stats, state):
        gradient, stats = jax.grad(loss, has_aux=True)(params, stats)
        updates, state = rule.update(gradient, state, params)
        return optax.apply_updates(params, updates), stats, state

    class Trained:
        """A step takes what the last one left, as in training."""

        def __init__(self, options):
            self.step = mapped(step, options)
            self.state = variables['params'], variables['batch_stats'], rule.init(variables['params'])

        def __call__(self):
            self.state = jax.block_until_ready(self.step(*self.state))

    def torch_step():
        descent.zero_grad()
        torch.nn.functional.cross_entropy(other(*theirs), wanted).backward()
        descent.step()

    @torch.no_grad()
    def torch_encode():
        other.encoder(both_theirs)

    part = jax.device_put((atmodist.part(variables, 'encoder'), both))
    encode = {
        form: jax.jit(lambda v, x: encoder.apply(v, x)[-1], compiler_options=options) for form, options in forms.items()
    }
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    label = f'{name}, {count / 1e6:.2f} M'
    other.eval()
    calls = {'PyTorch': torch_encode} | {form: waiting(f, *part) for form, f in encode.items()}
    best = row(f'{label}: encode {2 * pairs} of {side}^2', calls, 8)
    rates = ', '.join(f'{form} {2 * pairs / seconds:,.0f}' for form, seconds in best.items())
    print(f'  patches a second: {rates}')
    other.train()
    row(f'{label}: step, {pairs} pairs', {'PyTorch': torch_step} | {f: Trained(o) for f, o in forms.items()}, 15)


def renamed(variables: Any) -> dict[str, Any]:
    """flax's variables by PyTorch's names and in its order of axes."""
    import jax
    import torch

    names = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean', 'var': 'running_var'}
    found = {}
    for tree in variables.values():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            *modules, kind = (key.key for key in path)
            turned = leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T
            found['.'.join([*modules, names[kind]])] = torch.tensor(turned.copy())
    return found


def check_gradients(network: Any, variables: Any, other: Any, patches: tuple, lag: Any) -> None:
    """In float64: in float32, rounding that flips a single ReLU changes the gradients before it by a few per cent."""
    import copy

    import jax
    import numpy as np
    import optax
    import torch

    from downscale_jax.runtime import parallel
    from experiments.benchmarks.pytorch.network import from_maps

    twin, exact = copy.deepcopy(other).double().train(), [x[:4].astype(np.float64) for x in patches]
    torch.nn.functional.cross_entropy(twin(*map(from_maps, exact)), torch.tensor(lag[:4])).backward()
    with jax.enable_x64(True):
        doubled = jax.tree.map(lambda x: x.astype(np.float64), variables)
        encoder, tail = network.encoder.clone(dtype=np.float64), network.tail.clone(dtype=np.float64)

        def loss(params):
            given = {'params': params, 'batch_stats': doubled['batch_stats']}
            logits, _ = network.clone(encoder=encoder, tail=tail).apply(
                given, *exact, train=True, mutable=['batch_stats']
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, lag[:4]).mean()

        whole = parallel.REPLICATED
        call = jax.shard_map(jax.grad(loss), mesh=parallel.mesh(), in_specs=whole, out_specs=whole)
        ours = renamed({'params': jax.device_get(jax.jit(call)(doubled['params']))})
    largest = max(float(p.grad.abs().max()) for p in twin.parameters())
    for key, parameter in twin.named_parameters():
        np.testing.assert_allclose(ours[key], parameter.grad, rtol=0, atol=1e-5 * largest, err_msg=key)


if __name__ == '__main__':
    run_program(main)
