"""A made-up archive of another source, and what is kept of a reconstruction, beside closed forms."""

import runpy
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import cftime
import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from data_prep.prepare import prepare
from downscale_jax.downscale.dataset import Provenance
from downscale_jax.downscale.ensemble import GeneratedUnit, WorkUnit
from downscale_jax.downscale.output import filling, zarr_store
from downscale_jax.downscale.settings import Partition, Sampling
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.compound import Thresholds, summarise
from downscale_jax.fields.datasets import store
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError, exit_on_user_error
from downscale_jax.runtime.files import write_json
from downscale_jax.systems import dpdm
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.storage.migration import versioned
from downscale_jax.systems.workdir import read_config
from experiments import reconstruction
from experiments.climate import archive
from tests.forked import Forked, coordinated

SIZE = {'seed': 3, 'rows': 40, 'columns': 60}
NAMES = ('t2m', 'tp')


@pytest.fixture(scope='module')
def config():
    config = runpy.run_path('configs/diffusion_dpdm.py')['get_config']('smoke').to_dict()
    config['data']['simulate'].update(rows=45, columns=60)  # the last rows fill no block
    return config


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, config):
    return prepare(config['data'], config['seed'], tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def model(config, prepared):
    return SimpleNamespace(config=config, prepared=prepared, workdir='runs/x')


@pytest.fixture(scope='module')
def made(tmp_path_factory, model, prepared):
    """(the archive's file, what is kept of its truth), 1979 to 1983."""
    path, truth = tmp_path_factory.mktemp('archive') / 'a.nc', reconstruction.Kept(prepared, None)
    archive.write_archive(path, model, range(1979, 1984), truth.add)
    return path, truth


def test_the_file_is_of_another_calendar_grid_and_order(made, prepared):
    with xr.open_dataset(made[0]) as archive:
        assert archive['time'].dt.calendar == 'noleap'
        assert archive.sizes['time'] == 60
        assert archive['lat'].values[0] > archive['lat'].values[-1]
        assert abs(np.diff(archive['lon'].values)).round(6).tolist() == [2.0] * (archive.sizes['lon'] - 1)
    np.testing.assert_array_equal(made[1].persistence.months, 5)
    assert made[1].persistence.pairs.sum() == 59


def test_brought_to_the_blocks_by_interpolation(made, prepared):
    archive = store.open_dataset(made[0])
    lat, lon = np.meshgrid(archive['lat'], archive['lon'], indexing='ij')
    plane = xr.DataArray((lat + 2 * lon).astype('f4'), dims=('lat', 'lon'))
    archive['t2m'] = (archive['t2m'] * 0 + plane).assign_attrs(units='K')
    blocks = reconstruction.on_blocks(archive, prepared, range(1980, 1982))
    assert blocks['t2m'].shape == (24, 4, 6)
    y, x = np.meshgrid(25.5 + np.arange(4), 100.5 + np.arange(6), indexing='ij')
    inside = (y > lat.min()) & (y < lat.max()) & (x > lon.min()) & (x < lon.max())
    np.testing.assert_allclose(blocks['t2m'].values[5][inside], (y + 2 * x)[inside], rtol=1e-6)
    assert inside.sum() >= 10
    assert isinstance(blocks['time'].values[0], cftime.DatetimeNoLeap)


@pytest.mark.parametrize(
    ('change', 'years', 'message'),
    [
        (lambda a: a.drop_vars('tp'), range(1979, 1981), "no variable 'tp'"),
        (lambda a: a, range(1900, 1910), 'select nothing; the data set has 1979-01'),
        (lambda a: a.assign_coords(lon=a['lon'] + 3), range(1979, 1981), 'of the region in 1979-01: all of it is'),
        (lambda a: a.assign_coords(lon=a['lon'] + 90), range(1979, 1981), 'covers 0% of the region'),
        (lambda a: a.where(a['time'] != a['time'][7]), range(1979, 1981), 'covers 0% of the region in 1979-08'),
        (lambda a: a.assign(t2m=a['t2m'].assign_attrs(units='m')), range(1979, 1981), 'cannot be converted'),
        (
            lambda a: a.isel(time=slice(2)).assign_coords(time=np.array(['1979-01-01', '1979-01-09'], 'M8[ns]')),
            range(1979, 1981),
            '2 times in 1 months: give monthly means',
        ),
    ],
)
def test_wrong_archives(made, prepared, change, years, message):
    archive = store.open_dataset(made[0])
    wrong = change(archive)
    for name in {*NAMES} & {*wrong.data_vars}:
        wrong[name].attrs.setdefault('units', archive[name].attrs['units'])
    wrong.encoding['source'] = 'a.nc'
    with pytest.raises(UserError, match=message) as caught:
        reconstruction.on_blocks(wrong, prepared, years)
    assert '\n' not in str(caught.value)


def test_a_world_that_is_not_ours(model, tmp_path, prepared):
    real = SimpleNamespace(
        **{**vars(model), 'config': {**model.config, 'data': {**model.config['data'], 'path': 'e.nc'}}}
    )
    with pytest.raises(UserError, match=r'trained on e\.nc: give an archive by --input'):
        archive.write_archive(tmp_path / 'a.nc', real, range(1979, 1981), reconstruction.Kept(prepared, None).add)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('order', [1, -1])
def test_tables_of_known_series(prepared, order):
    """Uniform fields that warm by 0.5 K a decade, two members 1 K apart; one month of every year is hot and dry."""
    shape = prepared.mask.shape
    limits = Thresholds(np.full((12, *shape), 290.0), np.full((12, *shape), 1.0))
    members = [reconstruction.Kept(prepared, limits) for _ in range(2)]
    for year in range(1960, 1980)[::order]:
        for month in range(1, 13):
            for number, one in enumerate(members):
                hot = month == 7 and (number == 0 or year >= 1970)
                t2m = 281 + 0.05 * (year - 1960) + number + (11 - number) * hot
                field = np.stack(
                    [np.full(shape, t2m - 0.05 * (year - 1960) * hot), np.full(shape, 0.5 if hot else 2.0)], -1
                )
                one.add(f'{year}-{month:02d}', field)
    printed = reconstruction.tables({'truth': members[:1], 'ensemble': members})
    rows = dict(line.strip('| ').split(' | ', 1) for line in printed.splitlines() if line)
    assert rows['1970s'] == '8.33 | 8.33 (8.33 to 8.33)'
    assert rows['1960s'] == '8.33 | 4.17 (0.00 to 8.33)'
    # eleven months of twelve warm, July does not
    blocks = printed.split('\n\n')
    mean = next(b for b in blocks if b.startswith('| t2m, mean (K)'))
    assert '| trend per decade | 0.458 (' in mean
    low = next(b for b in blocks if b.startswith('| t2m, quantile 0.01'))
    printed = next(line for line in low.splitlines() if line.startswith('| 1960s (10 years)'))
    assert float(printed.split(' | ')[1]) == pytest.approx(281.0, abs=np.diff(members[0].edges[0])[0])
    assert '| ensemble |' in mean


@pytest.mark.parametrize(
    ('values', 'interval', 'expected'),
    [([1.0], (), '1.00'), ([1.0], (0.5, 2), '1.00 (0.50 to 2.00)'), ([1.0, 3.0], (9, 9), '2.00 (1.00 to 3.00)')],
)
def test_shown(values, interval, expected):
    assert reconstruction.shown(values, 2, interval) == expected


def test_the_case_is_the_wettest_test_month_or_that_wanted(prepared):
    month, truth = reconstruction.case_of(prepared, '', range(1960, 2000))
    split = prepared.split('test')
    means = [np.average(split[i]['fine'][..., 1], weights=prepared.area[..., 0]) for i in range(len(split))]
    assert month == f'1983-{int(np.argmax(means)) + 1:02d}'
    np.testing.assert_array_equal(truth, split[int(np.argmax(means))]['fine'])
    assert reconstruction.case_of(prepared, '1981-02', range(1960, 2000))[0] == '1981-02'
    for wanted, years in (('1983-13', range(1960, 2000)), ('', range(1960, 1970)), ('1983-02', range(1960, 1970))):
        with pytest.raises(UserError, match='choose another month'):
            reconstruction.case_of(prepared, wanted, years)


def test_thresholds_do_not_depend_on_the_rows_read_at_once(prepared, monkeypatch):
    whole = reconstruction.thresholds(prepared)
    assert whole.hot.shape == (12, *prepared.mask.shape)
    monkeypatch.setattr(reconstruction, 'BAND', 8 * len(prepared.split('train')) * prepared.mask.shape[1] * 7)
    for found, expected in zip(reconstruction.thresholds(prepared), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_case_study_has_a_row_of_the_means_and_one_of_members_for_each_variable(prepared):
    month, truth = reconstruction.case_of(prepared, '', range(1980, 1990))
    names = ('interpolation', 'mean of 2 members', reconstruction.TRUTH, 'member 1', 'member 2')
    figure = reconstruction.case_study({name: truth + (name == 'interpolation') for name in names}, prepared, month)
    maps = [axes for axes in figure.axes if axes.get_title(loc='left')]
    assert [axes.get_title(loc='left').split('\n')[0] for axes in maps] == [*names] * 2
    assert maps[0].get_title(loc='left').startswith('interpolation\nRMSE 1.00, ACC ')
    assert {axes.get_subplotspec().rowspan.start for axes in maps} == {0, 1, 2, 3}


def test_maps_of_hot_and_dry_months_are_those_of_all_members(prepared):
    """In the first of two months a half is hot and dry by the first member, by the second nothing."""
    shape = prepared.mask.shape
    members = [reconstruction.Kept(prepared, Thresholds(*np.ones((2, 12, *shape)))) for _ in range(2)]
    west = np.arange(shape[1]) < shape[1] // 2
    for when in ('1983-01', '1983-02'):
        for number, one in enumerate(members):
            event = np.broadcast_to(west & (number == 0) & (when == '1983-01'), shape)
            one.add(when, np.where(event[..., None], (2.0, 0.0), (0.0, 2.0)))
    share = summarise(total([one.places for one in members]))['frequency']
    np.testing.assert_array_equal(share, np.broadcast_to(np.where(west, 0.25, 0), shape))
    image = reconstruction.compound_maps({'ensemble': share}, prepared).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), 100 * share)
    assert image.get_clim() == (0, 25)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--years=1', '--start=1960 --years=1 --members=3: years'),
        ('--members=1', 'at least 2 of them and 2 members'),
        ('--start=0', 'years 1 to 9999'),
        ('--start=9990', 'years 1 to 9999'),
        ('--workdir=nowhere', 'nowhere is not a work directory'),
    ],
)
def test_wrong_arguments(monkeypatch, arguments, message):
    monkeypatch.setattr('sys.argv', ['reconstruction.py', arguments])
    with pytest.raises(UserError, match=message) as caught:
        reconstruction.main()
    assert '\n' not in str(caught.value)


class Generator:
    """Gives the interpolated input to all members; records the work units that it generates."""

    identity, draws, conserve = 'a network', True, False
    generated: ClassVar[list[WorkUnit]] = []
    partition, sampling = Partition(tile=80, overlap=8, members=11), Sampling('ddim', 1, 't', 0.0)

    def __init__(self, transform):
        self.transform = transform

    def with_partition(self, **changes):
        return self

    def tiling(self, domain):
        return Tiling(domain.shape, 1, 80, 8)

    @classmethod
    def generate(cls, ensemble, units, total):
        for unit in units:
            cls.generated.append(unit)
            fields = np.stack([ensemble.inputs[unit.time][..., 2:4]] * ensemble.members)
            yield GeneratedUnit(unit, ensemble.members_of(unit), fields, 0.25)


def fake(patch, workdir, config, prepared):
    """A work directory with the generator above, by `patch(object, name, value)`. Returns what its model is given."""
    given = []

    class Model(Downscaler):
        system = dpdm.SYSTEM

        def __init__(self):
            self.config, self.workdir = config, workdir
            self.__dict__['prepared'] = prepared

        def best(self):
            return Generator(prepared.transform_as(BlockMeans))

        def attributes(self):
            return Provenance(title='a test')

    def load(_, values, kind):
        given.append(values)
        return Model()

    for owner, name, value in (
        (reconstruction, 'load', load),
        (reconstruction, 'prepare', lambda data, seed, root: prepared),
        (filling, 'generate', Generator.generate),
        (filling, 'memory_needed', lambda *_: 0),
        (filling, 'estimated_seconds', lambda *_: None),
        (zarr_store, 'fit_to_memory', lambda ensemble, *_: ensemble),
    ):
        patch(owner, name, value)
    if not (workdir / 'config.json').exists():
        shutil.copy(prepared.directory / 'climate.nc', workdir)
        write_json(workdir / 'config.json', versioned(config))
    return given


YEARS = '--start=1979', '--years=5'
OVERLAP = '--overlap=1981-01,1982-06'


@pytest.fixture(scope='module')
def alone(tmp_path_factory, config, prepared):
    """The work directory of a run in one process, and what it prints."""
    workdir, printed = tmp_path_factory.mktemp('alone'), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        fake(patch.setattr, workdir, config, prepared)
        patch.setattr(Generator, 'generated', [])
        patch.setattr('sys.argv', ['reconstruction.py', f'--workdir={workdir}', *YEARS, OVERLAP])
        assert reconstruction.main() == 0
        assert len(Generator.generated) == 60
    return workdir, printed.getvalue()


def test_from_the_archive_to_the_tables(alone, tmp_path, monkeypatch, capsys, config, prepared):
    """Members that are the interpolated input are interpolation, and a run that is done does nothing twice."""
    workdir, printed = alone
    given = fake(monkeypatch.setattr, workdir, config, prepared)
    monkeypatch.setattr(Generator, 'generated', [])

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['reconstruction.py', f'--workdir={workdir}', *arguments])
        assert reconstruction.main() == 0
        return capsys.readouterr().out

    rain = printed.split('\n\n')[3]
    assert rain.startswith(
        '| tp, mean (mm day-1) | truth | ensemble | interpolation, corrected | interpolation, uncorrected |'
    )
    truth, ensemble, lerp, raw = rain.splitlines()[3].strip('| ').split(' | ')[1:]
    assert ensemble == f'{lerp} ({lerp} to {lerp})'
    assert abs(float(lerp) - float(truth)) < 0.1 * abs(float(raw) - float(truth))
    assert 'Out of the physical bounds: 0.25' in printed
    assert (workdir / 'reconstruction.md').read_text() in printed
    for name in ('case_study.png', 'compound.png'):
        assert (workdir / name).stat().st_size > 20_000
    archive = (workdir / '20cr_like.nc').read_bytes()

    assert run(*YEARS, OVERLAP).splitlines()[-30:] == printed.splitlines()[-30:]
    assert not Generator.generated
    with pytest.raises(UserError, match=r'members: 3 in the store, 4 requested.*choose another --output'):
        run(*YEARS, OVERLAP, '--members=4')
    with pytest.raises(UserError, match='1981-01 to 1982-06 select nothing; the data set has 1983-01'):
        run('--start=1983', '--years=3', OVERLAP)
    with pytest.raises(UserError, match=r'--overlap=1981: .*START,END'):
        run(*YEARS, '--overlap=1981')
    with pytest.raises(UserError, match='--output: there is no folder'):
        run(*YEARS, f'--output={tmp_path / "none"}')
    assert (workdir / '20cr_like.nc').read_bytes() == archive

    # a real archive has no truth; as it came the bias stays
    uncorrected = run(*YEARS, f'--input={workdir}/20cr_like.nc', f'--output={tmp_path}')
    assert '| tp, mean (mm day-1) | ensemble | interpolation, uncorrected |' in uncorrected
    assert f'| {raw} ({raw} to {raw}) | {raw} |' in uncorrected
    assert given[-1] == {}


def test_values_of_sampling_are_given_as_to_main(tmp_path, monkeypatch, config, prepared):
    given = fake(monkeypatch.setattr, tmp_path, config, prepared)
    reconstruction.opened(tmp_path, {'sampling.correlation_hours': 720})
    assert given == [{'sampling.correlation_hours': 720.0}]
    for wrong, message in (
        ({'sampling.correlation': 1.0}, r"no key 'sampling\.correlation': did you mean 'sampling\.correlation_hours'"),
        ({'training.batch_size': 8}, "no key 'training.batch_size'"),
        ({'sampling.steps': 'few'}, 'a value of type int was expected'),
    ):
        with pytest.raises(UserError, match=message):
            reconstruction.opened(tmp_path, wrong)


def start_two(folder, *arguments):
    """Two processes of this file as a program, and the file to which each prints."""
    printed = [folder / f'{index}.out' for index in (0, 1)]
    return [
        (Forked(__file__, *arguments, env=env, stdout=out, stderr=out), out)
        for env, out in zip(coordinated(), printed, strict=True)
    ]


def test_two_processes_share_the_units_and_the_first_tells(alone, tmp_path, monkeypatch, config, prepared):
    (workdir, _), two = alone, tmp_path / 'two'
    two.mkdir()
    fake(monkeypatch.setattr, two, config, prepared)
    started = start_two(tmp_path, prepared.directory, f'--workdir={two}', *YEARS, OVERLAP)
    try:
        codes = [process.wait(timeout=200) for process, _ in started]
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
    printed = [out.read_text() for _, out in started]
    assert codes == [0, 0], printed
    assert ['t2m, mean' in one for one in printed] == [True, False]
    filled = [int(one.splitlines()[-1].removeprefix('filled ').removesuffix(' units')) for one in printed]
    assert sum(filled) == 60  # each takes the next one that is free
    assert min(filled) > 0
    for name in ('reconstruction.md', '20cr_like.nc'):
        assert (two / name).read_bytes() == (workdir / name).read_bytes()
    for name in ('case_study.png', 'compound.png'):
        # the edges of coasts are shaded by fractions of a pixel, whose last bits depend on what a process drew before
        np.testing.assert_allclose(imread(two / name), imread(workdir / name), atol=3 / 255)


if __name__ == '__main__':
    directory = Prepared(Path(sys.argv.pop(1)))
    root = Path(sys.argv[1].partition('=')[2])
    fake(setattr, root, read_config(root), directory)
    with exit_on_user_error():
        reconstruction.main()
        print(f'filled {len(Generator.generated)} units')
