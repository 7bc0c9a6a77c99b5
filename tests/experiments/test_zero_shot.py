"""The table of regions: its numbers by closed forms, and from the fields themselves."""

import csv
import runpy
from functools import partial

import jax
import numpy as np
import pytest

from data_prep.prepare import prepare
from data_prep.simulators.mountains import simulate
from downscale_jax.fields.geometry.blocks import interpolate
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.systems import dpdm
from downscale_jax.systems.calibrated import Calibrated
from downscale_jax.systems.storage.migration import versioned
from downscale_jax.systems.workdir import zeros
from experiments import zero_shot

ROWS, COLUMNS, MONTHS = 40, 60, 36


def drawn(rng, leaf):
    """Small random parameters; of the scalars, counts are 0 and the scale of the first guess is 1."""
    if leaf.shape:
        return (0.02 * rng.normal(size=leaf.shape)).astype(leaf.dtype)
    return np.array(np.issubdtype(leaf.dtype, np.floating), leaf.dtype)


class Untrained(Calibrated):
    """A work directory without checkpoints: its networks are random."""

    def restored(self, name):
        init, rng = self.system.initialise(name, self.tasks), np.random.default_rng(0)
        shapes = jax.eval_shape(init, jax.random.key(0), zeros(self.system.shapes(self.config), 1))
        return jax.tree.map(partial(drawn, rng), shapes)

    def provenance(self, name):
        return 'a test'


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    config = runpy.run_path('configs/diffusion_dpdm.py')['get_config']('smoke').to_dict()
    config['data']['simulate'].update(rows=ROWS + 5, columns=COLUMNS, months=MONTHS)  # five rows fill no block
    config['rivals'], root = (), tmp_path_factory.mktemp('zero_shot')
    found = prepare(config['data'], config['seed'], root)
    write_json(found.directory / 'config.json', versioned(config))
    return found


@pytest.fixture
def model(prepared):
    return Untrained(dpdm.SYSTEM, prepared.directory)


def linear(fine, prepared):
    """RMSE of [T, H, W, V] interpolated from its block means."""
    transform = prepared.transform_as(BlockMeans)
    field = [
        interpolate(transform.coarsen(x, prepared.area), 10, False, 'linear').clip(*transform.limits) for x in fine
    ]
    weight = prepared.area / prepared.area.sum() / len(fine)
    return np.sqrt((weight * (np.stack(field) - fine).astype(float) ** 2).sum((0, 1, 2)))


def test_home_is_the_test_split_and_others_are_other_worlds(prepared, model, tmp_path, monkeypatch, capsys):
    shown = []
    downscale = model.downscale
    model.downscale = lambda *a, **k: (shown.append(k['statics']), downscale(*a, **k))[1]
    monkeypatch.setattr(zero_shot, 'opened', lambda *_: model)
    monkeypatch.setattr(
        'sys.argv', ['zero_shot.py', f'--output={tmp_path}', '--seed', '5', '--months=99', '--members=3']
    )
    assert zero_shot.main() == 0
    text = capsys.readouterr().out
    assert (tmp_path / 'zero_shot.md').read_text() in text
    with (tmp_path / 'zero_shot.csv').open(newline='') as file:
        table = {(row['method'], row['region']): row for row in csv.DictReader(file)}
    methods = ('linear', 'bicubic', 'regression', 'one member', 'mean of 3')
    assert [*table] == [(method, region) for method in methods for region in ('home', 'seed 5')]

    split = prepared.split('test')
    other = simulate(5, ROWS + 5, COLUMNS, MONTHS).isel(lat=slice(ROWS))
    fine = np.stack([other[name].values[24:] for name in ('t2m', 'tp')], -1)  # 1983
    expected = {'home': np.stack([split[i]['fine'] for i in range(len(split))]), 'seed 5': fine}
    for region, truth in expected.items():
        row = table['linear', region]
        np.testing.assert_allclose([float(row[f'rmse_{v}']) for v in ('t2m', 'tp')], linear(truth, prepared), rtol=1e-5)
        assert float(row['of_linear_tp']) == 1
        assert row['crps_t2m'] == row['mae_t2m']
        assert float(table['mean of 3', region]['spread_skill_t2m']) > 0
    np.testing.assert_array_equal(shown[0]['topography'], prepared.statics['topography'])
    np.testing.assert_array_equal(shown[1]['topography'], other['topography'])


def test_scores_of_members_on_either_side_of_the_truth():
    truth = np.random.default_rng(0).normal(size=(2, 4, 6, 1))
    fields = {'truth': truth[None], 'linear': truth[None] + 4, 'both': truth + np.reshape([-1, 1, 3], (3, 1, 1, 1, 1))}
    found = zero_shot.scored(fields, np.ones((4, 6)), ('a',))
    assert [*found] == ['linear', 'both']
    assert found['linear'] == pytest.approx({f'{k}_a': v for k, v in zip(
        ('rmse', 'crps', 'mae', 'bias', 'of_linear'), (4, 4, 4, 4, 1), strict=True)})  # fmt: skip
    # the mean is off by 1; |x - y| are 1, 1, 3, members 2, 2, 4 apart: 5/3 - 8/3/2; spread^2 4, times 4/3
    assert found['both'] == pytest.approx(
        {'rmse_a': 1, 'crps_a': 1 / 3, 'mae_a': 1, 'bias_a': 1, 'spread_skill_a': np.sqrt(16 / 3), 'of_linear_a': 0.25}
    )


def test_what_is_no_other_region(model, prepared, tmp_path, monkeypatch):
    with pytest.raises(UserError, match='--seed 0 is the region that the model learned from'):
        zero_shot.simulated(model, 0, 1)
    model.config['data']['path'] = 'e.nc'
    with pytest.raises(UserError, match=r'trained on e\.nc, not on simulated mountains'):
        zero_shot.simulated(model, 1, 1)
    model.config['data'].update(path='')
    model.config['data']['simulate']['seed'] = 3  # as if the simulation had changed since
    with pytest.raises(UserError, match='are not those simulated today: train anew'):
        zero_shot.simulated(model, None, 1)
    for wrong, message in ((f'--output={tmp_path}/none', 'there is no folder'), ('--members=1', 'at least 2')):
        monkeypatch.setattr('sys.argv', ['zero_shot.py', f'--workdir={prepared.directory}', wrong])
        with pytest.raises(UserError, match=message):
            zero_shot.main()
