"""Small settings and samples for measures, and scored runs without a network."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.evaluation.protocol import Reference, Sample, Setting, Variable, Zone
from downscale_jax.evaluation.statistics import extremes
from downscale_jax.evaluation.statistics.compound import HotDry, Thresholds
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry.blocks import block_mean, interpolate
from downscale_jax.fields.geometry.places import Places
from downscale_jax.fields.transforms.refinement import RefinementTransform

SHAPE, FACTOR, CELL_KM = (24, 32), 4, 20.0
NAMES, UNITS, SCALES = ('t', 'r'), ('K', 'mm'), np.array([1.0, 5.0])
DAY = 86_400
SIZE, ICE_CELL_KM, KERNEL_KM = 48, 4.0, 40.0  # of the split of sea ice
PLACES = Places(('far', 'one', 'two'), np.array([-60, 40.9, 43.6]), np.array([50, 2.4, 6.0]))  # cells 5, 10 and 20, 25


def statics(shape=SHAPE, up: bool = True) -> xr.Dataset:
    """A region in x and y; cells of unequal area, a corner outside of the mask."""
    area = np.broadcast_to(np.linspace(300, 500, shape[0])[:, None], shape)
    mask = np.ones(shape, bool)
    mask[:3, :5] = False
    rows = np.arange(shape[0]) if up else np.arange(shape[0])[::-1]
    coords = {'y': rows * 1e3 * CELL_KM, 'x': np.arange(shape[1]) * 1e3 * CELL_KM}
    lat, lon = np.meshgrid(40 + 0.18 * rows, 0.24 * np.arange(shape[1]), indexing='ij')
    coords |= {'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)}
    return xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), area)}, coords)


def make_setting(count: int = 1, zone: bool = False, blocks: bool = False, **changes) -> Setting:
    """Of `count` variables; methods coarse, net and the ensemble gen, of which gen_2 has two members."""
    grid = changes.get('statics', statics())
    shape = grid['mask'].shape
    variables = tuple(
        Variable(
            name=NAMES[v],
            units=UNITS[v],
            label=f'label of {NAMES[v]}',
            data_range=float(6 * SCALES[v]),
            kernel_km=FACTOR * CELL_KM,
            coarse_cells=FACTOR,
            regimes=(-0.3 * SCALES[v], 0.3 * SCALES[v]),
            zone=Zone('warm', 0.0) if zone and v == 0 else None,
        )
        for v in range(count)
    )
    edges = np.stack([extremes.edges(-3 * scale, 3 * scale) for scale in SCALES[:count]])
    thresholds = np.outer(SCALES[:count], (0.8, 1.0, 1.5, 1.8, 2.2))
    normal = np.zeros((12, *shape, count), np.float32)
    normal[6] = 0.5
    limits = Thresholds(np.zeros((12, *shape)), np.zeros((12, *shape)))
    hot_dry = HotDry((0, 1), limits) if count > 1 else None
    terciles = np.outer(SCALES[:count], (-0.4, 0.4))
    area = np.where(grid['mask'], grid['cell_area'], 0.0)
    setting = Setting(
        statics=grid,
        weight=area,
        cell_km=CELL_KM,
        periodic=False,
        variables=variables,
        winds=None,
        coarsen=(lambda fields: block_mean(fields, FACTOR, area[..., None].astype('f4'))) if blocks else None,
        reference=Reference(normal, edges, thresholds, terciles, lambda: hot_dry),
        places=PLACES,
        times=6,
        periods=((1981, 1990), (2041, 2050)),
        window=8,
        idealised=True,
        baselines=('coarse',),
        singles=('net',),
        ensembles={'gen': ('gen_2', 'gen_9')},
        main='gen_9',
        shown=('coarse', 'net', 'gen_2', 'gen_9'),
        retile={},
    )
    return replace(setting, **changes)


def make_samples(setting: Setting, times: int = 6, members: int = 9, seed: int = 0) -> list[Sample]:
    """Days in two stretches; a truth with a gap, which an ensemble of the right spread and a smooth field follow."""
    rng, shape = np.random.default_rng(seed), setting.weight.shape
    scale = SCALES[: len(setting.variables)]
    samples = []
    for index in range(times):
        known, *unknown = (scale * smooth(rng, (*shape, len(scale)), sigma) for sigma in (3.0, *[0.8] * (1 + members)))
        truth = (known + 0.5 * unknown[0]).astype('f4')
        generated = np.stack([known + 0.5 * noise for noise in unknown[1:]]).astype('f4')
        blocks, coarse = None, ndimage.uniform_filter(truth, (FACTOR + 1, FACTOR + 1, 0))
        if setting.coarsen:
            blocks = setting.coarsen(truth)
            coarse = interpolate(np.nan_to_num(blocks), FACTOR, False, 'linear')
        truth[~setting.statics['mask'].values] = np.nan
        truth[10, 12 + index] = np.nan
        methods = {
            'coarse': coarse[None],
            'net': known[None].astype('f4'),
            'gen_2': generated[:2],
            'gen_9': generated,
        }
        late = index >= times // 2
        samples.append(
            Sample(
                stamp=(index + 150 * late) * DAY,
                label=f'2001-{"06" if late else "01"}-{index + 1:02d}T00',
                year=2041 if late else 1981,
                month=6 if late else 1,
                season='JJA' if late else 'DJF',
                follows=index not in (0, times // 2),
                truth=truth,
                coarse=coarse,
                blocks=blocks,
                methods=methods,
                clipped={'gen_9': (10.0 * index, 100.0)},
            )
        )
    return samples


def sample_of(setting: Setting, truth, methods, coarse=None, index: int = 0, **changes) -> Sample:
    """Of given fields [H, W, V], or members [M, H, W, V]; day `index` of July, as if records followed each other."""
    members = {name: found if found.ndim == 4 else found[None] for name, found in methods.items()}
    coarse = np.zeros(truth.shape) if coarse is None else coarse
    blocks = setting.coarsen(coarse.astype('f4')) if setting.coarsen else None
    label = f'2001-07-{index + 1:02d}T00'
    return Sample(index * DAY, label, 2001, 7, 'JJA', index > 0, truth, coarse, blocks, members, {})._replace(**changes)


def smooth(rng, shape, sigma):
    """Noise of unit variance, correlated over some `sigma` cells."""
    fields = ndimage.gaussian_filter(rng.normal(size=shape), (sigma, sigma, 0))
    return fields / fields.std((0, 1))


def measured(name: str, setting: Setting, samples):
    """The result of a measure after these samples."""
    measure = MEASURES[name](setting)
    for sample in samples:
        measure.add(sample)
    return measure.result()


def transform() -> RefinementTransform:
    return RefinementTransform(
        target='sit',
        units='m',
        inputs=('sic', 'sit'),
        input_units=('1', 'm'),
        anomaly=True,
        bounds=((0.0, float('inf')),),
        input_mean=(0.0, 0.0),
        input_std=(1.0, 1.0),
        target_mean=0.0,
        target_std=1.0,
    )


class Case:
    """A test split of sea ice with a coast and a gap, and the `stores` {generator: data set} of all its times."""

    def __init__(self, days=8, members=6, names=('regression', 'diffusion', 'calibrated')):
        rng = np.random.default_rng(0)
        mask = np.ones((SIZE, SIZE), bool)
        mask[:9, :14] = False
        axes = {name: (name, 1e3 * ICE_CELL_KM * np.arange(SIZE), {'units': 'm'}) for name in ('y', 'x')}
        statics = xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), np.full(mask.shape, 16.0))}, axes)
        self.prepared = SimpleNamespace(
            mask=mask,
            statics=statics,
            periodic=False,
            transform=transform(),
            field_transform=transform(),
            split=lambda name: self.split,
            attributes={'sit': {'standard_name': 'sea_ice_thickness'}},
            coarse_input=lambda record: record['coarse'],
            meta={
                'range': [0.0, 5.0],
                'kernel_km': [24.0, KERNEL_KM],
                'idealised': True,
                'calendar': 'standard',
            },
        )
        # half days in two blocks of a season each
        hours = 12 * np.arange(days) + 2400 * (np.arange(days) >= days // 2)
        self.times = np.datetime64('2020-02-01', 'ns') + hours * np.timedelta64(1, 'h')
        thickness = np.linspace(-0.5, 3, SIZE)  # open water, thin and thick ice
        base = np.maximum(np.broadcast_to(thickness, (days, SIZE, SIZE)), 0)
        scale = 0.3 * np.minimum(base, 1)
        known = self.noise(rng, (days,), 4.0) * scale  # what a regression can know
        self.truth = np.clip(base + known + self.noise(rng, (days,), 1.0) * scale, 0, None).astype(np.float32)
        self.truth[:, ~mask] = self.truth[:, 30, 30] = np.nan
        coarse = np.stack([np.ones_like(base), base], -1).astype(np.float32)
        seconds = encode_times(self.times)
        self.records = [
            {'fine': fine, 'coarse': low, 'time': int(time)}
            for fine, low, time in zip(self.truth, coarse, seconds, strict=True)
        ]
        self.stores, self.loaded = {}, []
        for name in names:
            count = 1 if name == 'regression' else members
            spread = {'regression': 0.0, 'diffusion': 0.6, 'calibrated': 1.0}[name]
            fields = base + known + spread * self.noise(rng, (count, days), 1.0) * scale
            fields = np.where(mask, np.clip(fields, 0, None), np.nan).astype(np.float32)
            dataset = xr.Dataset(
                {
                    'sit': (('member', 'time', 'y', 'x'), fields),
                    'clipped_share': (('unit', 'time'), np.full((-(-count // 4), days), 0.25)),
                },
                {'time': self.times},
            ).chunk(member=4, time=1)
            self.stores[name] = dataset.assign(sit=dataset['sit'].copy(data=dataset['sit'].data.map_blocks(self.note)))

    def note(self, block, block_info=None):
        """A chunk passes by; which day it is of is remembered."""
        if block_info:
            self.loaded.append(block_info[0]['chunk-location'][1])
        return block

    @staticmethod
    def noise(rng, leading, sigma):
        """Unit variance, correlated over some `sigma` cells."""
        fields = ndimage.gaussian_filter(rng.normal(size=(*leading, SIZE, SIZE)), (*[0] * len(leading), sigma, sigma))
        return fields / fields.std()

    @property
    def split(self):
        return Split(self.records, self.times)


class Split(list):
    """Records with their time stamps."""

    def __init__(self, records, times):
        super().__init__(records)
        self.times = times


@pytest.fixture(scope='session')
def make_case():
    return Case


@pytest.fixture(scope='session')
def of_setting():
    """of_setting(count, zone, blocks, **changes) -> Setting"""
    return make_setting


@pytest.fixture(scope='session')
def of_samples():
    """of_samples(setting, times, members, seed) -> samples"""
    return make_samples


@pytest.fixture(scope='session')
def of_fields():
    """of_fields(setting, truth, methods, coarse, index, **changes) -> Sample"""
    return sample_of


@pytest.fixture(scope='session')
def result_of():
    """result_of(measure, setting, samples) -> Result"""
    return measured
