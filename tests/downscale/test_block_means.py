"""Block means through every kind of generator: their mean comes back, and a global field has no seam."""

import jax
import numpy as np
import pytest
import xarray as xr

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.fields.geometry.blocks import block_mean
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models import srgan
from downscale_jax.models.unet import UNet
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.regression import Regression
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training.optimizer import Phase

FACTOR, H, W = 4, 16, 32
PHASES = (Phase('main', 1, 1e-3),)
INFINITY = float('inf')


def transform(mean='physical', anomaly=False, bounds=((-INFINITY, INFINITY),) * 2):
    values = Standardisation(('u', 'v'), ('m s-1', 'm s-1'), (1.0, 0.5), (5.0, 3.0), (0.1, 0.0), (0.16, 0.2))
    return BlockMeans(values, FACTOR, mean, anomaly, bounds, (0.5, 0.5) if anomaly else (1.0, 1.0))


def settings(conserve, overlap=8):
    return GenerationSettings(Partition(96, overlap, members=2), Sampling('dpm_solver', 3, 't', 0.0), conserve)


def task(kind):
    if kind == 'generator':
        return SuperResolution(srgan.GeneratorNetwork(2, width=4, blocks=1, kernel=3), PHASES)
    network = UNet(channels=4, widths=(8,), bottleneck=8, blocks=1, embedding=8, stem=1, tail=0)
    regression = Regression(network, PHASES)
    if kind == 'regression':
        return regression
    return Diffusion(network.clone(channels=2), PHASES, CosineSchedule((0.99, 0.02)))


def generator(kind, conserve, overlap=8, **options):
    one = task(kind)
    rows = {'target': np.zeros((1, 16, 16, 2), np.float32), 'condition': np.zeros((1, 16, 16, 5), np.float32)}
    shapes = jax.eval_shape(lambda *given: one.inference_params(one.init(*given)), jax.random.key(0), rows)
    # untrained networks begin with zeros: weights at random, so that something is generated
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda s: (0.2 * rng.normal(size=s.shape)).astype(np.float32), shapes)
    return FieldGenerator(one, params, transform(**options), settings(conserve, overlap))


def area():
    """Of the cells of `grids`."""
    return (np.cos(np.deg2rad(30.5 + np.arange(H)))[:, None, None] * np.ones((1, W, 1))).astype('f4')


def grids(periodic=False):
    step = 360 / W if periodic else 1.0
    fine = {'lat': 30 + (np.arange(H) + 0.5), 'lon': step * (np.arange(W) + 0.5)}
    coarse = {name: axis.reshape(-1, FACTOR).mean(1) for name, axis in fine.items()}
    units = {'lat': 'degrees_north', 'lon': 'degrees_east'}
    fine, coarse = ({n: (n, a, {'units': units[n]}) for n, a in axes.items()} for axes in (fine, coarse))
    return xr.Dataset({'mask': (('lat', 'lon'), np.ones((H, W), np.int8))}, fine), coarse


def coarse_fields(periodic=False, positive=False):
    values = np.random.default_rng(0).normal(size=(1, H // FACTOR, W // FACTOR, 2)) * [5, 3]
    values = np.maximum(values, 0) if positive else values
    fields = {n: (('time', 'lat', 'lon'), values[..., i], {'units': 'm s-1'}) for i, n in enumerate('uv')}
    times = np.array(['2001-01-01'], 'datetime64[ns]')
    return xr.Dataset(fields, {**grids(periodic)[1], 'time': times})


def generated(made, fields, statics):
    inputs = open_inputs(fields, made.transform, statics)
    return in_memory(Ensemble(made, inputs, statics, made.partition.members, 0))


def run(made, fields, statics):
    found = generated(made, fields, statics)
    return np.stack([found[n].values for n in 'uv'], -1)  # [M, 1, H, W, 2]


@pytest.mark.parametrize(
    ('kind', 'mean'),
    [('generator', 'physical'), ('generator', 'network'), ('regression', 'physical'), ('diffusion', 'network')],
)
def test_the_block_mean_of_what_is_generated_is_the_coarse_field(kind, mean):
    fields, statics = coarse_fields(), grids()[0]
    free, kept = (
        run(generator(kind, c, mean=mean, anomaly=kind != 'generator'), fields, statics) for c in (False, True)
    )
    asked = np.stack([fields[n].values for n in 'uv'], -1).astype('f4')
    shown = transform(mean).values.encode if mean == 'network' else np.asarray
    unit = 1.0 if mean == 'network' else np.array([5.0, 3.0])
    weight = area() if mean == 'physical' else None  # by number in the space of the network
    closed = np.abs(block_mean(shown(kept), FACTOR, weight) - shown(asked)) / unit
    assert closed.max() < 1e-5
    assert (np.abs(block_mean(shown(free), FACTOR, weight) - shown(asked)) / unit).max() > 0.05
    # only what a block lacks has been added: nothing within it changed
    np.testing.assert_allclose(
        shown(kept) - np.repeat(np.repeat(block_mean(shown(kept), 4), 4, -3), 4, -2),
        shown(free) - np.repeat(np.repeat(block_mean(shown(free), 4), 4, -3), 4, -2),
        atol=2e-4,
    )


def test_what_must_not_be_negative_stays_so():
    fields, statics = coarse_fields(positive=True), grids()[0]
    found = run(generator('generator', True, bounds=((0.0, INFINITY),) * 2), fields, statics)
    asked = np.stack([fields[n].values for n in 'uv'], -1)
    assert found.min() >= 0
    assert (found == 0).any()
    assert np.abs(block_mean(found, FACTOR, area()) - asked).max() / 3 < 1e-5


def test_bounds_of_one_variable_alone():
    """u is nowhere negative, v is what it was: both means are kept, over the cells that are there."""
    statics = grids()[0]
    statics['mask'][:3, 5:10] = 0
    fields = coarse_fields(positive=True)
    bounds = ((0.0, INFINITY), (-INFINITY, INFINITY))
    found = run(generator('generator', True, bounds=bounds), fields, statics)
    asked = np.stack([fields[n].values for n in 'uv'], -1)
    outside = np.broadcast_to(statics['mask'].values[..., None] == 0, found.shape)
    np.testing.assert_array_equal(np.isnan(found), outside)
    assert np.nanmin(found[..., 0]) == 0 > np.nanmin(found[..., 1])
    there = np.where(statics['mask'].values[..., None] > 0, area(), 0)
    assert np.abs(block_mean(found, FACTOR, there) - asked).max() / 3 < 1e-5
    free = generated(generator('generator', False, bounds=bounds), fields, statics)
    assert [(free[n].attrs.get('valid_min'), 'valid_max' in free[n].attrs) for n in 'uv'] == [
        (0, False),
        (None, False),
    ]


@pytest.mark.parametrize('kind', ['generator', 'regression'])
def test_a_global_field_has_no_seam(kind):
    """Turned round the globe by blocks, the field turns with its input, across the date line."""
    statics = grids(periodic=True)[0]
    fields = coarse_fields(periodic=True)
    turned = fields.copy(data={n: fields[n].roll(lon=3).values for n in 'uv'})
    made = generator(kind, False, overlap=24)
    first, second = (run(made, one, statics) for one in (fields, turned))
    np.testing.assert_allclose(np.roll(first, 12, -2), second, atol=2e-4)
    regional = run(made, turned.assign_coords(grids()[1]), grids()[0])
    assert np.abs(second - regional)[..., :4, :].max() > 1e-2  # the edge of a region is another thing
