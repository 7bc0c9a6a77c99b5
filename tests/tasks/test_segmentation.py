"""Segmentation: masked cross-entropy against its closed form, and the published network's parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.models.resnet import ResNetUNet
from downscale_jax.models.unet import UNet
from downscale_jax.tasks.segmentation import Segmentation
from downscale_jax.training.optimizer import Phase

PHASE = Phase('main', 10, 1e-2, optimizer='sgd', momentum=0.95, nesterov=True)
SMALL = {'widths': (4, 4), 'blocks': (1, 1), 'decoder': (4, 4, 4)}


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 16, 16, 6)).astype(np.float32)
    label = (rng.random((2, 16, 16, 1)) < 0.3).astype(np.float32)
    return {'image': image, 'label': label, 'valid': rng.random((2, 16, 16, 1)) < 0.8}


def test_cross_entropy_over_valid_cells(batch):
    logits = np.random.default_rng(1).normal(size=(2, 16, 16, 1)).astype(np.float32)
    valid, label = batch['valid'], batch['label']
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    entropy = -np.where(label > 0, np.log(p), np.log(1 - p))
    metrics = Segmentation.metrics(jnp.asarray(np.where(valid, logits, np.nan)), batch)
    for i in range(2):
        assert metrics['loss'][i] == pytest.approx(entropy[i][valid[i]].mean(), rel=1e-5)
        assert metrics['accuracy'][i] == pytest.approx(((p > 0.5) == (label > 0))[i][valid[i]].mean())


@pytest.mark.parametrize('network', [UNet(1, (4,), 4, 1, stem=2), ResNetUNet(1, **SMALL)], ids=['unet', 'resnet'])
def test_masked_cells_change_no_gradient(network, batch):
    task = Segmentation(network, (PHASE,))
    state = jax.jit(task.init)(jax.random.key(0, impl='unsafe_rbg'), batch)
    assert (state.stats is None) == isinstance(network, UNet)

    @jax.jit
    def gradient(batch):
        return jax.grad(lambda params: task.losses(params, state.stats, batch)[0].mean())(state.params)

    other = {**batch, 'label': np.where(batch['valid'], batch['label'], 1 - batch['label'])}
    for a, b in zip(jax.tree.leaves(gradient(batch)), jax.tree.leaves(gradient(other)), strict=True):
        np.testing.assert_array_equal(a, b)
    probability = jax.eval_shape(task.probability, task.inference_params(state), batch['image'])
    assert probability.shape == (2, 16, 16, 1)


def convolution(size, before, after):
    """Parameters of a convolution without bias and of the batch normalisation after it."""
    return size**2 * before * after + 2 * after


def test_parameters_of_the_published_network():
    """Counted layer by layer from the description: ResNet-34 without its classifier, and the decoder."""
    encoder, before = convolution(7, 6, 64), 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        encoder += convolution(3, before, width) + (2 * blocks - 1) * convolution(3, width, width)
        encoder += convolution(1, before, width) if before != width else 0
        before = width
    # the ImageNet network has 3 channels and a classifier of 1000 classes: 21,797,672 parameters in all
    assert encoder - 3 * 49 * 64 + 512 * 1000 + 1000 == 21_797_672
    decoder = 0
    for skip, width in ((256, 256), (128, 128), (64, 64), (64, 32), (0, 16)):
        decoder += convolution(3, before + skip, width) + convolution(3, width, width)
        before = width
    variables = jax.eval_shape(ResNetUNet(1).init, jax.random.key(0), None, jnp.zeros((1, 64, 64, 6)))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
    assert count == encoder + decoder + 9 * 16 + 1 == 24_445_777
