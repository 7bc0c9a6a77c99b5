"""Networks in their published form, shrunk in width, with inputs and weights drawn by seed.

A case is what both sides compute: the flax network here, its PyTorch counterpart in `make_fixtures`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from downscale_jax.models.atmodist import Encoder, Siamese, Tail
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork
from downscale_jax.models.unet import UNet

ENCODER = ((4, 8, 12, 16), 2, 8, True, 0.99)  # widths, blocks, stem, pool, momentum
TAIL = (5, 8)  # classes, width
GENERATOR: dict[str, Any] = {'factors': (2, 2), 'width': 8, 'blocks': 2, 'kernel': 9}
DISCRIMINATOR = ((4, 8, 12, 16), 16)
DPDM: dict[str, Any] = {'inner': 32, 'dropout': 0.1}
SEA_ICE: dict[str, Any] = {'widths': (8, 12, 16, 20), 'bottleneck': 24, 'stem': 1, 'tail': 0, 'time': 'input'}

Inputs = tuple[np.ndarray, ...]


class Case(NamedTuple):
    """A network, and its inputs by a random generator."""

    network: Any
    inputs: Callable[[np.random.Generator], Inputs]


def maps(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype('f4')


CASES = {
    'atmodist': Case(
        Siamese(Encoder(*ENCODER), Tail(*TAIL, momentum=0.99)),
        lambda rng: (maps(rng, 2, 64, 64, 2), maps(rng, 2, 64, 64, 2)),
    ),
    'generator': Case(GeneratorNetwork(2, **GENERATOR), lambda rng: (maps(rng, 2, 8, 12, 2),)),
    'discriminator': Case(Discriminator(*DISCRIMINATOR), lambda rng: (4 * maps(rng, 4, 32, 32, 2),)),
    'dpdm': Case(
        DpdmUNet(1, **DPDM),
        lambda rng: (maps(rng, 4, 24, 16, 1), maps(rng, 4, 24, 16, 3), np.array([0, 1, 437.25, 999], 'f4')),
    ),
    'sea_ice': Case(
        UNet(1, **SEA_ICE),
        lambda rng: (maps(rng, 3, 32, 16, 1), maps(rng, 3, 32, 16, 5), np.array([0.0004, 0.0975, 0.9], 'f4')),
    ),
}


def drawn(name: str) -> tuple[Any, Inputs]:
    """(variables, inputs) of a case; none of the weights is zero."""
    case, rng = CASES[name], np.random.default_rng(sorted(CASES).index(name))
    inputs = case.inputs(rng)
    shapes = jax.eval_shape(case.network.init, jax.random.key(0), *inputs)

    def draw(path, leaf):
        normal = rng.normal(size=leaf.shape).astype('f4')
        if path[-1].key == 'kernel':
            return (normal / np.sqrt(np.prod(leaf.shape[:-1]))).astype('f4')
        if path[-1].key == 'var':
            return np.exp(0.3 * normal)
        return 0.3 * normal + (path[-1].key == 'scale')

    return jax.tree_util.tree_map_with_path(draw, shapes), inputs
