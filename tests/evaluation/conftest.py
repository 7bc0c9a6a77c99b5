"""A small test split with a coast and a gap, and what two ensembles and a regression make of it, without a network."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from downscale_jax.fields.transforms.refinement import RefinementTransform

SIZE, CELL_KM, KERNEL_KM = 48, 4.0, 40.0
SETTINGS = {'members': 6, 'records': None, 'window': 16, 'ice': 0.15, 'regimes': (0.15, 1.0, 2.0)}


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
    """prepared, split and times as `evaluate` meets them; `opened` {name: data set}, of the days `chosen`."""

    def __init__(self, days=8, members=6, names=('regression', 'diffusion', 'calibrated')):
        rng = np.random.default_rng(0)
        mask = np.ones((SIZE, SIZE), bool)
        mask[:9, :14] = False
        axes = {name: (name, 1e3 * CELL_KM * np.arange(SIZE), {'units': 'm'}) for name in ('y', 'x')}
        statics = xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), np.full(mask.shape, 16.0))}, axes)
        self.prepared = SimpleNamespace(
            mask=mask,
            statics=statics,
            transform=transform(),
            meta={'range': [0.0, 5.0], 'kernel_km': [24.0, KERNEL_KM], 'attributes': {}, 'idealised': True},
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
        self.records = [{'fine': fine, 'coarse': low} for fine, low in zip(self.truth, coarse, strict=True)]
        self.chosen, self.opened, self.loaded = list(range(days)), {}, []
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
            self.opened[name] = dataset.assign(sit=dataset['sit'].copy(data=dataset['sit'].data.map_blocks(self.note)))

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
def case():
    return Case()


@pytest.fixture(scope='session')
def settings():
    return SETTINGS
