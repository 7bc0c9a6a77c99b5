"""The made-up products: read back by the readers of the real ones."""

import json
import runpy

import numpy as np
import pytest
import xarray as xr

import downscale_jax
from data_prep.readers import products
from data_prep.simulators.sea_ice import simulate
from downscale_jax.downscale.dataset import Provenance
from downscale_jax.downscale.ensemble import GeneratedUnit
from downscale_jax.downscale.output import filling, zarr_store
from downscale_jax.downscale.settings import Partition, Sampling
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from experiments import observations

NAMES = ('sit', 'sic', 'divergence', 'shear')


@pytest.fixture(scope='module')
def config():
    config = runpy.run_path('configs/diffusion_sit.py')['get_config']('smoke').to_dict()
    config['data']['simulate'] = {'size': 64, 'states': 40}
    return config


@pytest.fixture(scope='module')
def made(tmp_path_factory, config):
    return observations.make_up(tmp_path_factory.mktemp('products'), config, days=2)


def test_files_are_in_the_form_of_the_products(made, config):
    files, truth = made
    thickness = products.read_cs2smos(files['thickness'])
    concentration = products.read_osisaf_concentration(files['concentration'])
    assert [str(t)[:13] for t in thickness['time'].values] == ['2020-01-18T12', '2020-01-19T12']
    assert abs(np.diff(thickness['x'].values)[0]) == 25_000
    assert np.diff(thickness['y'].values)[0] < 0
    sea = concentration['mask'].values
    assert 0.5 < sea.mean() < 1
    assert 0 <= float(concentration['sic'].min()) <= float(concentration['sic'].max()) <= 1
    seen = np.isfinite(thickness['sit'].values)
    assert (seen & sea).sum() < 0.9 * 2 * sea.sum()  # the swath and the coast
    assert not np.array_equal(seen[0], seen[1])  # the swath moves
    assert not (seen & ~sea).any()
    # means of the truth: their mean is its mean as far as they reach
    dense = truth.values[0][: 64 * 2 // 3]
    shown = thickness['sit'].values[0, ::-1][: 11 * 2 // 3]
    assert np.nanmean(shown) == pytest.approx(np.nanmean(dense), rel=0.2)


def test_samples_of_a_constant_are_the_constant_and_of_land_missing():
    ice = simulate(size=64, states=1)
    ice['sit'] = ice['sit'] * 0 + 3.0
    found = observations.sample(ice, 'sit', 25.0)
    values = found.values[np.isfinite(found.values)]
    np.testing.assert_allclose(values, 3.0, rtol=1e-6)
    assert 0 < np.isnan(found.values).mean() < 0.5
    np.testing.assert_allclose(found['xc'].values[:3], [12.5, 37.5, 62.5])


def test_products_become_the_inputs_asked_for(made):
    files, _ = made
    found = observations.open_products({**files, 'drift': ''}, NAMES)
    assert {name: product.resolution_km for name, product in found.items()} == pytest.approx(
        {'sit': 25, 'sic': 25, 'divergence': 62.5, 'shear': 62.5}
    )
    alone = {'thickness': files['thickness'], 'concentration': '', 'drift': ''}
    assert set(observations.open_products(alone, ('sit', 'sic'))) == {'sit', 'sic'}
    with pytest.raises(UserError, match='the model needs divergence'):
        observations.open_products(alone, ('sit', 'divergence'))


def test_a_model_of_real_data_has_no_made_up_observations(tmp_path, config):
    with pytest.raises(UserError, match=r'trained on x\.nc: give observations'):
        observations.make_up(tmp_path, {**config, 'data': {**config['data'], 'path': 'x.nc'}}, 1)


class Generator:
    """Gives the input itself and half a metre; records the work units that it generates."""

    transform = RefinementTransform(
        'sit', 'm', NAMES, ('m', '1', 's-1', 's-1'), True, ((0.0, np.inf),), (0.0,) * 4, (1.0,) * 4, 0.0, 1.0
    )
    identity, draws, conserve = 'a network', True, False
    partition, sampling = Partition(tile=64, overlap=4, members=2), Sampling('ddim', 1, 't', 0.0)

    def __init__(self):
        self.generated = []

    def with_partition(self, **changes):
        return self

    def tiling(self, domain):
        return Tiling(domain.shape, 1, 64, 4)

    def generate(self, ensemble, units, total):
        for unit in units:
            self.generated.append(unit)
            field = np.where(ensemble.area, ensemble.inputs[unit.time][..., 0] + 0.5, np.nan)
            members = ensemble.members_of(unit)
            yield GeneratedUnit(unit, members, np.stack([field] * (members.stop - members.start))[..., None], 0.0)


def test_from_products_to_the_report(tmp_path, monkeypatch, capsys, caplog, made, config):
    """A constant more than the input is a bias; the truth is as consistent as twice smoothed can be."""
    ice, generator = simulate(seed=config['seed'], size=64, states=1), Generator()

    class Model:
        class prepared:
            statics, periodic = ice[['mask']].drop_vars('time', errors='ignore'), False
            meta = {'kernel_km': [20.0, 24.0, 120.0, 120.0]}  # noqa: RUF012

            @staticmethod
            def transform_as(kind):
                return generator.transform

        def best(self):
            return generator

        def attributes(self):
            return Provenance(title='a test')

    Model.config = config
    monkeypatch.setattr(downscale_jax, 'load', lambda workdir, kind: Model())
    monkeypatch.setattr(filling, 'generate', generator.generate)
    monkeypatch.setattr(filling, 'memory_needed', lambda *_: 0)
    monkeypatch.setattr(filling, 'estimated_seconds', lambda *_: None)
    monkeypatch.setattr(zarr_store, 'fit_to_memory', lambda ensemble, *_: ensemble)
    monkeypatch.setattr(observations, 'make_up', lambda folder, config, days: made)

    def run(members):
        monkeypatch.setattr('sys.argv', ['observations.py', f'--output={tmp_path}', f'--members={members}'])
        observations.main()

    monkeypatch.setattr(messages, 'to_terminal', lambda: None)  # so that stdout holds the table alone
    caplog.set_level('INFO', 'downscale_jax')
    run(members=3)
    table = capsys.readouterr().out
    assert caplog.messages[0].startswith('3 members x 2 times of 64 x 64 cells: 4 of 4 units to do; ')
    assert table.count('\n') == 6  # two days, all, the truth
    report = json.loads((tmp_path / 'consistency.json').read_text())
    assert report['all']['bias'] == pytest.approx(0.5, abs=0.02)
    assert abs(report['truth']['bias']) < 0.05
    assert (tmp_path / 'consistency.png').stat().st_size > 20_000
    with xr.open_zarr(tmp_path / 'fine.zarr', consolidated=False) as fine:
        assert fine['sit'].shape == (3, 2, 64, 64)
        assert fine.attrs['title'] == 'a test'

    # a unit without its mark is all that is left to do; another request is refused
    assert generator.generated == [(0, 0), (0, 1), (1, 0), (1, 1)]
    (tmp_path / 'fine.zarr' / 'clipped_share' / 'c' / '1' / '0').unlink()
    run(members=3)
    assert generator.generated[4:] == [(0, 1)]
    assert '1 of 4 units to do' in caplog.messages[-1]
    assert capsys.readouterr().out == table
    with pytest.raises(UserError, match=r'another request \(members: 3 in the store, 4 requested\)'):
        run(members=4)
