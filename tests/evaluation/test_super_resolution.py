"""Evaluation of super-resolved fields on a few cells, places and times counted by hand; its figures."""

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from downscale_jax.evaluation.present import print_table
from scipy.stats import norm

from downscale_jax.evaluation import super_resolution
from downscale_jax.evaluation import super_resolution_present as present
from downscale_jax.evaluation import super_resolution_scores as scores
from downscale_jax.evaluation.baselines import Baselines
from downscale_jax.evaluation.drawing import fields as figures
from downscale_jax.evaluation.reference import Reference
from downscale_jax.evaluation.statistics import compound, extremes, normality, places
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.distributions import PERCENTILES
from downscale_jax.evaluation.statistics.pointwise import fair_crps
from downscale_jax.fields.geometry.blocks import block_mean, interpolate
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation

DAYS = np.arange(30) * 86_400  # in seconds
SHAPE, FACTOR, VARIABLES = (16, 24), 4, ('a', 'b')
BETTER = {'better': 2, 'worse': 1, 'equal': 0, 'difference': np.array([1.0, np.nan, np.nan])}


def statics(dims=('y', 'x'), step=2e4):
    coords = {name: np.arange(n) * step for name, n in zip(dims, SHAPE, strict=True)}
    return xr.Dataset({'mask': (dims, np.ones(SHAPE, bool)), 'cell_area': (dims, np.full(SHAPE, 400.0))}, coords)


class Prepared:
    """Two variables of three times whose block means are physical; the records are the split."""

    def __init__(self, times=3, bounds=(-np.inf, np.inf)):
        values = Standardisation(VARIABLES, ('K', 'm'), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0), 0.0)
        self.block_means = BlockMeans(values, FACTOR, 'physical', False, bounds, (1.0, 1.0))
        self.statics, self.area, self.periodic = statics(), np.ones((*SHAPE, 1), 'f4'), False
        rng = np.random.default_rng(0)
        self.records = [{'fine': rng.normal(0, [1, 5], (*SHAPE, 2)).astype('f4')} for _ in range(times)]
        self.meta = {'attributes': {}, 'idealised': True}

    def transform_as(self, kind):
        return self.transform

    def pair(self, record):
        fine, nothing = record['fine'], np.zeros((*SHAPE, 0), 'f4')
        return fine, self.transform.lift(self.transform.coarsen(fine, self.area), nothing, False)


def store(fields):
    """[T, H, W, V], or members [M, T, H, W, V], as a generator's store."""
    dims, members = ('member', 'time', 'y', 'x'), fields.reshape(-1, *fields.shape[-4:])
    return xr.Dataset({name: (dims, members[..., v]) for v, name in enumerate(VARIABLES)})


def measures(variables=VARIABLES):
    ranges = np.array([[-3.0, 3.0], [-15.0, 15.0]])[: len(variables)]
    thresholds = np.outer([1, 5][: len(variables)], norm.ppf(extremes.LEVELS))
    normal = np.zeros((12, *SHAPE, len(variables)))
    known = Reference(normal, np.stack([extremes.edges(*one) for one in ranges]), thresholds)
    return scores.Measures(statics(), variables, None, ranges, known, FACTOR)


def collected(truth, **methods):
    """Series [T, P] of one variable at places; the fields themselves are noise, equal to the truth."""
    of = measures(('a',))
    field = np.random.default_rng(0).normal(size=(*SHAPE, 1))
    sums = [of.sums(field[None], field, np.zeros((4, 6, 1)), 1)] * len(truth)
    series = {name: np.array(one)[..., None] for name, one in {'truth': truth, **methods}.items()}
    values = {name: np.full((len(truth), field.size, 1), 2.0) for name in series}
    return super_resolution.Collected({name: sums for name in methods}, {}, series, values, {}, {}), of


def drawn(figure):
    """How many panels, when all of it can be drawn."""
    figure.savefig(BytesIO(), dpi=30)
    return len(figure.axes)


# what is asked of the data


@pytest.mark.parametrize(
    ('named', 'expected'),
    [
        ({'u10': 'eastward_wind', 'v10': 'northward_wind'}, ('u10', 'v10')),
        ({'t': 'air_temperature', 'v': 'northward_wind', 'u': 'eastward_wind'}, ('u', 'v')),
        ({'across': 'y_wind', 'along': 'x_wind', 'none': None}, ('along', 'across')),
        ({'u': 'eastward_wind', 't': 'air_temperature'}, None),
        ({'u': None, 'v': None}, None),
        ({}, None),
    ],
)
def test_winds_by_their_standard_names(named, expected):
    attributes = {name: {'standard_name': said} if said else {'units': 'm s-1'} for name, said in named.items()}
    assert super_resolution.winds_of(SimpleNamespace(meta={'attributes': attributes})) == expected


def test_no_place_lies_on_a_grid_of_x_and_y():
    known = places.read()
    rows, columns, inside = super_resolution.cells_of(known, SimpleNamespace(statics=statics()))
    assert rows.size == columns.size == inside.sum() == 0
    assert inside.shape == (150,)
    assert np.zeros((*SHAPE, 2))[rows, columns].shape == (0, 2)
    sphere = SimpleNamespace(statics=statics(('lat', 'lon'), 1.0))
    known = places.Places(('there', 'elsewhere', 'here'), np.array([2.2, -60, 9]), np.array([3.0, 50, 4.4]))
    rows, columns, inside = super_resolution.cells_of(known, sphere)
    assert (rows.tolist(), columns.tolist(), inside.tolist()) == ([2, 9], [3, 4], [True, False, True])


def test_title():
    assert super_resolution.title_of(Prepared().transform) == 'a and b 4 times finer'


# fields -> sums


@pytest.mark.parametrize('bounds', [((-np.inf, np.inf),) * 2, ((-np.inf, np.inf), (0.0, 1.0))], ids=['free', 'bounded'])
def test_fields_of_one_time(bounds):
    prepared = Prepared(bounds=bounds)
    truths = np.stack([record['fine'] for record in prepared.records])
    members = truths[[0, 2]] + np.arange(3).reshape(3, 1, 1, 1, 1)
    stores = {'gan': store(truths[[0, 2]] + 1), 'dpdm': store(members)}
    # the stores have the scored times alone
    baselines = Baselines(('bicubic', 'linear'), prepared)
    truth, coarse, fields = super_resolution.fields_of(stores, prepared, prepared.records, 1, [0, 2], baselines, 1)
    assert list(fields) == ['bicubic', 'linear', 'gan', 'dpdm']
    np.testing.assert_array_equal(truth, truths[2])
    np.testing.assert_array_equal(fields['gan'], truths[2:] + 1)
    np.testing.assert_array_equal(fields['dpdm'], members[:, 1])
    block = truths[2].reshape(4, 4, 6, 4, 2).mean((1, 3))
    np.testing.assert_allclose(coarse, block, rtol=1e-4, atol=1e-6)
    for name, kernel in (('bicubic', 'cubic'), ('linear', 'linear')):
        free = interpolate(coarse, FACTOR, False, kernel)
        expected = free.clip([-np.inf, 0], [np.inf, 1]) if np.isfinite(bounds[1]).any() else free
        np.testing.assert_array_equal(fields[name], expected[None])
    assert np.abs(fields['bicubic'] - fields['linear']).max() > 0.1


@pytest.mark.parametrize(
    ('members', 'numbers'), [(2, [1, 2]), (5, [1, 5]), (6, [1, 5, 6]), (12, [1, 5, 10, 12]), (33, [1, 5, 10, 33])]
)
def test_an_ensemble_is_a_method_for_each_number_of_members(members, numbers):
    fields = {'linear': np.zeros((1, 2, 3, 1)), 'dpdm': np.arange(members * 6.0).reshape(members, 2, 3, 1)}
    found = super_resolution.views(fields)
    assert list(found) == ['linear', *(f'dpdm_{n}' for n in numbers)]
    for n in numbers:
        np.testing.assert_array_equal(found[f'dpdm_{n}'], fields['dpdm'][:n])
    np.testing.assert_array_equal(found['linear'], fields['linear'])


TIMES = np.array(['2001-01-31', '2001-07-01'], 'datetime64[ns]')


def test_an_ensemble_is_scored_by_its_number_of_members():
    """Eight members: the mean of the first 1, 5 and 8, the fair CRPS, ranks, normality."""
    prepared, of = Prepared(), measures()
    truths = np.stack([record['fine'] for record in prepared.records[:2]])
    members = (truths + np.random.default_rng(1).normal(0, [1, 5], (8, *truths.shape))).astype('f4')
    at = (np.array([1, 5]), np.array([2, 0]), np.ones(2, bool))
    stores = {'gan': store(truths + 1), 'dpdm': store(members)}
    baselines = Baselines(('linear', 'bicubic'), prepared)
    found = super_resolution.collect(stores, prepared, prepared.records, TIMES, [0, 1], of, at, baselines, ('dpdm',))
    names = ['linear', 'bicubic', 'gan', 'dpdm_1', 'dpdm_5', 'dpdm_8']
    assert list(found.sums) == list(found.maps) == list(found.series)[1:] == list(found.values)[1:] == names
    assert list(found.ensembles) == ['dpdm']
    np.testing.assert_allclose(found.series['dpdm_5'], members[:5, :, [1, 5], [2, 0]].mean(0), rtol=1e-6)

    details = super_resolution.summarise(found, of, VARIABLES, DAYS[:2])
    for n in (1, 5, 8):
        told, first = details['methods'][f'dpdm_{n}'], members[:n].astype(float)
        crps, error = fair_crps(first, truths.astype(float)), first.mean(0) - truths
        for v, name in enumerate(VARIABLES):
            assert told['scores'][f'crps_{name}'][0] == pytest.approx(crps[..., v].mean(), rel=1e-5)
            assert told['scores'][f'rmse_{name}'][0] == pytest.approx(np.sqrt((error[..., v] ** 2).mean()), rel=1e-5)
            below = np.maximum(first[..., v], of.reference.thresholds[v, 1])
            tail = fair_crps(below, np.maximum(truths[..., v], of.reference.thresholds[v, 1]).astype(float))
            assert told['scores'][f'tail_crps_{name}'][0] == pytest.approx(tail.mean(), rel=1e-5)
        gap = block_mean(error.astype('f4'), FACTOR)
        expected = np.sqrt((gap**2).mean((0, 1, 2)) / truths.astype(float).var((0, 1, 2)))
        np.testing.assert_allclose([told['scores'][f'closure_{v}'][0] for v in VARIABLES], expected, rtol=1e-3)
        assert ('spread' in told, 'ranks' in told, 'spread_skill_a' in told['scores']) == (n > 1,) * 3
    # all, in the order in which they were drawn
    ranks = [(members[..., v] < truths[..., v]).sum(0) for v in range(2)]
    expected = [np.bincount(one.ravel(), minlength=9) * 9 / one.size for one in ranks]
    np.testing.assert_allclose(details['methods']['dpdm_8']['ranks'][..., 0], expected, rtol=1e-6)
    np.testing.assert_allclose(
        details['methods']['dpdm_8']['spread'][:, 0], np.sqrt(members.var(0, ddof=1).mean((0, 1, 2))), rtol=1e-5
    )
    one = details['ensembles']['dpdm']
    assert set(one) == {'normal', 'quantiles'}
    assert one['quantiles'].shape == (2, len(normality.PROBABILITIES), 3)
    np.testing.assert_allclose(one['normal'][:, 0], 0.95, atol=0.04)
    assert present.numbers_of('dpdm', details) == [1, 5, 8]
    assert present.drawn(details) == ['bicubic', 'gan', 'dpdm_1', 'dpdm_8']

    tables = {table.title: table for table in present.tables(details, VARIABLES, ('K', 'm'))}
    rows = tables['Normality of members'].rows
    assert list(rows) == ['dpdm, a', 'dpdm, b']
    np.testing.assert_array_equal(rows['dpdm, b'], [one['normal'][1]])


def test_hot_and_dry_times():
    """Hot above 0, dry below 0: where a > 0 > b. Half of the cells of the truth; of the members all and none."""
    prepared, of = Prepared(), measures()
    half = np.arange(SHAPE[0])[:, None] < SHAPE[0] // 2
    for record in prepared.records:
        record['fine'] = np.stack([np.where(half, 1, -1) * np.ones(SHAPE), np.full(SHAPE, -1.0)], -1).astype('f4')
    prepared.records[0]['fine'][0, :, 1] = np.nan  # a sixteenth is missing, in all that is compared
    limits = compound.Thresholds(np.zeros((12, *SHAPE)), np.zeros((12, *SHAPE)))
    of.reference = of.reference._replace(hot_dry=compound.HotDry((0, 1), limits))
    members = np.stack([np.full((2, *SHAPE, 2), [1, -1]), np.full((2, *SHAPE, 2), -1)]).astype('f4')
    stores, at = {'dpdm': store(members)}, (np.array([], int), np.array([], int), np.zeros(0, bool))
    baselines = Baselines((), prepared)
    found = super_resolution.collect(stores, prepared, prepared.records, TIMES, [0, 1], of, at, baselines, ())
    details = super_resolution.summarise(found, of, VARIABLES, DAYS[:2])
    told = {name: one[0] for name, one in details['hot_dry'].items()}
    assert told == {'truth': pytest.approx((7 + 8) / (15 + 16)), 'dpdm_1': 1, 'dpdm_2': 0.5}


def test_of_the_baselines_one_is_drawn():
    names = (
        'linear',
        'bicubic',
        'quantile_mapping',
        'edsr',
        'dpdm_1',
        'dpdm_5',
        'dpdm_10',
        'dpdm_11',
        'dpdm_sde_1',
        'dpdm_sde_2',
    )
    details = {'methods': dict.fromkeys(names), 'ensembles': {'dpdm': {}, 'dpdm_sde': {}}}
    assert present.numbers_of('dpdm', details) == [1, 5, 10, 11]
    assert present.drawn(details) == ['bicubic', 'edsr', 'dpdm_1', 'dpdm_11', 'dpdm_sde_1', 'dpdm_sde_2']


def test_sums_maps_and_series_of_the_scored_times():
    prepared, of, chosen = Prepared(), measures(), [0, 2]
    truths = np.stack([prepared.records[i]['fine'] for i in chosen])
    at = (np.array([1, 5, 9]), np.array([2, 0, 23]), np.ones(3, bool))
    stores = {'gan': store(truths), 'shifted': store(truths + np.array([1, -2]))}
    baselines = Baselines(('bicubic',), prepared)
    found = super_resolution.collect(stores, prepared, prepared.records, TIMES, chosen, of, at, baselines, ())
    assert found.ensembles == {}
    assert list(found.sums) == list(found.maps) == ['bicubic', 'gan', 'shifted']
    assert [len(sums) for sums in found.sums.values()] == [2, 2, 2]
    area = 2 * SHAPE[0] * SHAPE[1] * 400.0
    for name, square, gap in (('gan', (0, 0), (0, 0)), ('shifted', (1, 4), (1, 4))):
        sums = total(found.sums[name])
        np.testing.assert_allclose(sums['squared_error'] / area, square, rtol=1e-5)
        np.testing.assert_allclose(sums['gap'] / (2 * 24), gap, rtol=1e-5, atol=1e-9)
    maps = found.maps['shifted']
    assert (maps['times'] == 2).all()
    np.testing.assert_allclose(maps['field'] - maps['truth'], np.broadcast_to([2, -4], (*SHAPE, 2)), atol=1e-5)
    assert list(found.series) == list(found.values) == ['truth', 'bicubic', 'gan', 'shifted']
    np.testing.assert_array_equal(found.series['truth'], truths[:, at[0], at[1]])
    np.testing.assert_array_equal(found.values['gan'], truths.reshape(2, -1, 2))

    details = super_resolution.summarise(found, of, VARIABLES, DAYS[:2])
    bicubic, gan, shifted = details['methods'].values()
    assert gan['scores']['rmse_a'][0] == gan['scores']['wasserstein_a'][0] == gan['scores']['closure_b'][0] == 0
    assert shifted['scores']['wasserstein_b'][0] == pytest.approx(2)
    assert bicubic['scores']['total_variation_a'][0] < -0.5
    row = details['places']['gan']['shifted']['a']
    assert [row[key] for key in ('better', 'worse', 'equal')] == [3, 0, 0]
    medians = {name: one[:, PERCENTILES.index(50.0)] for name, one in details['percentiles'].items()}
    np.testing.assert_allclose(medians['shifted'] - medians['truth'], [1, -2], rtol=1e-6)
    wavenumbers = details['wavelength_km'].size
    assert gan['power'].shape == (2, wavenumbers, 3)
    assert wavenumbers == 8  # of noise all are filled: 320 km, of 40 km at least
    assert 'kinetic' not in gan
    own = details['truth']
    of_truth = [[of.power(one[..., v]) for one in truths] for v in range(2)]
    np.testing.assert_allclose(own['power'], np.mean(of_truth, 1))
    assert own['variogram'].shape == (2, details['kilometres'].size)
    np.testing.assert_allclose(own['variogram'], 1, atol=0.25)  # noise: values are independent
    np.testing.assert_allclose(details['frames']['shifted'], [[1, 4]] * 2, rtol=1e-5)


# sums -> details, by hand


def test_blocks_are_of_five_days():
    assert super_resolution.block_of(DAYS) == 5
    assert super_resolution.block_of(DAYS / 2) == 10
    assert super_resolution.block_of(DAYS / 8) == 10  # 40 of 30: a third of them
    assert super_resolution.block_of(DAYS * 10) == 4  # near 30^(1/3)
    assert super_resolution.block_of(DAYS[:2]) == super_resolution.block_of(DAYS[:1]) == 1


def test_places_are_counted():
    """Distances of gan 0.1, 1, 0.5 and 0.5, of bicubic 1, 0.1, 0.52 and 0.6: better, worse, equal, better."""
    truth = np.array([[0.0] * 4, [10.0] * 4])
    of_bicubic, of_gan = np.array([[1, -0.1, 0.52, 0.6], [0.1, 1, -0.5, 0.5]])
    # the order of times is nothing to a distribution
    found, of = collected(truth, bicubic=truth + of_bicubic, pretrained=truth, gan=(truth + of_gan)[::-1])
    details = super_resolution.summarise(found, of, ('a',), DAYS[:2])
    expected = {'better': 2, 'worse': 1, 'equal': 1}
    row = details['places']['gan']['bicubic']['a']
    assert {key: row[key] for key in expected} == expected
    np.testing.assert_array_equal(row['difference'], [1, np.nan, np.nan])  # of two times there is no interval
    back = details['places']['bicubic']['gan']['a']
    # a tenth of the other's: 0.6 is worse than 1.1 x 0.5
    assert {key: back[key] for key in expected} == {'better': 1, 'worse': 2, 'equal': 1}
    perfect = details['places']['pretrained']['gan']['a']
    assert (perfect['better'], perfect['difference'][0]) == (4, 4)
    assert {name: list(rivals) for name, rivals in details['places'].items()} == {
        'bicubic': ['pretrained', 'gan'],
        'pretrained': ['bicubic', 'gan'],
        'gan': ['bicubic', 'pretrained'],
    }
    means = {name: one['scores']['wasserstein_a'] for name, one in details['methods'].items()}
    np.testing.assert_allclose(means['gan'], [2.1 / 4, np.nan, np.nan])
    np.testing.assert_allclose(means['bicubic'][0], 2.22 / 4)
    np.testing.assert_array_equal(details['percentiles']['truth'], np.full((1, len(PERCENTILES)), 2.0))


def test_counts_of_places_have_intervals():
    """Nine times at two places: where one method is the truth the count is two in every resample."""
    truth = np.random.default_rng(0).normal(size=(9, 2))
    series = {'truth': truth[..., None], 'gan': truth[..., None], 'bicubic': truth[..., None] + 1}
    local = {'gan': np.zeros((1, 2)), 'bicubic': np.ones((1, 2))}
    both = super_resolution.compare(local, series, ['a'], 2)
    found = both['gan']['bicubic']
    np.testing.assert_array_equal(both['bicubic']['gan']['a']['difference'], [-2, -2, -2])
    np.testing.assert_array_equal(found['a']['difference'], [2, 2, 2])
    assert (found['a']['better'], found['a']['worse'], found['a']['equal']) == (2, 0, 0)


def test_without_a_place():
    nothing = np.zeros((2, 0))
    found, of = collected(nothing, bicubic=nothing, gan=nothing)
    details = super_resolution.summarise(found, of, ('a',), DAYS[:2])
    assert details['places'] == {}
    assert 'wasserstein_a' not in details['methods']['gan']['scores']
    tables = present.tables(details, ('a',), ('K',))
    assert [table.title for table in tables] == ['Extremes: a (K)', 'Percentiles: a (K)']
    assert drawn(figures.places(details['places'], ('a',), 'title', 'subtitle')) == 1


TILES = {'seam': np.array([1.05]), 'sizes': (40, 48), 'overlap': 8, 'against': (64, 64), 'times': 2, 'members': 3}


def extremes_of(value):
    """Of one variable, two levels, two windows."""

    def at(levels):
        return np.stack([levels, levels, levels], -1)[None]

    levels = value + np.arange(2.0)
    fss = np.stack([at(20 + levels), at(30 + levels)], 2)
    return {'quantile_error': at(levels), 'crps_above': at(10 + levels), 'fss_above': fss}


def test_which_tiles_were_looked_at():
    told, nothing = present.told_of_tiles({'dpdm': TILES, 'other': {}})
    assert told == (
        'Seams of dpdm: tiles of 40 x 48 cells that overlap by 8, against the same members in tiles of 64 x 64; '
        '3 members, 2 times.'
    )
    assert nothing == 'Seams of other: not looked at, the domain is no larger than a patch of training.'


def test_tables_and_headline():
    details = {
        'places': {'bicubic': {'gan': {'a': BETTER}}, 'gan': {'bicubic': {'a': BETTER}}},
        'percentiles': {'truth': np.arange(7.0)[None], 'gan': np.arange(7.0)[None] + 1},
        'ensembles': {},
        'methods': {
            'linear': extremes_of(9.0),  # not shown
            'bicubic': extremes_of(1.0),
            'gan': extremes_of(0.0),
        },
        'extremes': {'levels': (0.9, 0.99), 'thresholds': np.array([[5.0, 7.0]]), 'windows': (5, 13)},
        'hot_dry': {'truth': np.array([0.02, 0.01, 0.03]), 'gan': np.array([0.04, np.nan, np.nan])},
    }
    places_of_gan, hot_dry, high, percentiles = present.tables(details, ('a',), ('K',))
    assert places_of_gan.title == 'Local statistics: gan'
    cells = places_of_gan.rows['a, against bicubic']
    assert [float(cell[0]) for cell in cells] == [2, 1, 0, 1]
    assert [cell[0] for cell in percentiles.rows['gan']] == list(range(1, 8))
    np.testing.assert_allclose(hot_dry.rows['truth'], [[2, 1, 3]])
    assert (high.title, high.columns) == ('Extremes: a (K)', ['0.9', '0.99'])
    values = {name: [cell[0] for cell in cells] for name, cells in high.rows.items()}
    assert values == {
        'Threshold': [5, 7],
        'Quantile bias: bicubic': [1, 2],
        'Quantile bias: gan': [0, 1],
        'CRPS of the tail: bicubic': [11, 12],
        'CRPS of the tail: gan': [10, 11],
        'FSS, 5 cells: bicubic': [21, 22],
        'FSS, 5 cells: gan': [20, 21],
        'FSS, 13 cells: bicubic': [31, 32],
        'FSS, 13 cells: gan': [30, 31],
    }
    table = {'bicubic': {'rmse_a': 4.0, 'energy': 2.0}, 'gan': {'rmse_a': 3.0, 'energy': 0.125}}
    assert present.headline(table, details, ('a',)) == {
        'RMSE / bicubic, a': '0.75',
        'energy spectrum, bicubic': '2.00',
        'energy spectrum, gan': '0.12',
    }


def test_the_printed_table(capsys):
    described = scores.described(('a',), ('K',))
    print_table({'bicubic': {'rmse_a': 4.0}, 'gan': {'rmse_a': 3.0, 'energy': 0.125}}, described)
    lines = [line.split() for line in capsys.readouterr().out.strip().splitlines()]
    assert lines == [['bicubic', 'gan'], ['energy', '0.125'], ['rmse_a', '4', '3']]


def test_a_place_without_values_does_not_cost_the_others():
    truth = np.array([[0.0, np.nan], [10.0, np.nan]])
    found, of = collected(truth, bicubic=truth + 1)
    details = super_resolution.summarise(found, of, ('a',), DAYS[:2])
    assert details['methods']['bicubic']['scores']['wasserstein_a'][0] == pytest.approx(1)


def test_winds_of_one_pair():
    names = {'u10': 'eastward_wind', 'v10': 'northward_wind', 'u100': 'eastward_wind'}
    attributes = {name: {'standard_name': said} for name, said in names.items()}
    assert super_resolution.winds_of(SimpleNamespace(meta={'attributes': attributes})) in (('u10', 'v10'), None)


# figures

LINE = np.stack([np.geomspace(1, 0.1, 8), np.geomspace(0.9, 0.08, 8), np.geomspace(1.1, 0.2, 8)], -1)
KILOMETRES = np.array([50.0, 100, 200])


def methods(count, kinetic=False):
    found = {'power': np.stack([LINE] * count), 'variogram': np.stack([LINE[:3]] * count)}
    extra = {'kinetic': LINE} if kinetic else {}
    return {'bicubic': {**found, **extra}, 'gan_mse': {**found, **extra}}


def truth(count, kinetic=False):
    found = {
        'power': np.tile(np.geomspace(1e-9, 1e-12, 8), (count, 1)),
        'variogram': np.tile([0.1, 0.3, 0.8], (count, 1)),
    }
    return {**found, 'kinetic': np.geomspace(10, 0.1, 8)} if kinetic else found


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('numbers', [(1, 2), (1, 5, 10, 33)])
def test_the_ensemble(count, numbers):
    most, points = max(numbers), len(normality.PROBABILITIES)
    variables, missing = VARIABLES[:count], most < normality.FEWEST
    interval = (np.nan, np.nan) if missing else (1.0, 2.2)  # none of a single time
    curve = {
        n: {
            'scores': {f'rmse_{v}': np.array([1 + 1 / n, *interval]) for v in variables},
            **({'spread': np.full((count, 3), 0.5), 'ranks': np.ones((count, n + 1, 3))} if n > 1 else {}),
        }
        for n in numbers
    }
    expected = np.full(points, np.nan) if missing else normality.expected(most)
    quantiles = np.full((count, points, 3), np.nan) if missing else np.stack([np.stack([expected] * 3, -1)] * count)
    figure = figures.ensemble(curve, quantiles, variables, ('K', 'm')[:count], 'title', 'subtitle')
    assert drawn(figure) == 3 * count
    for left, middle, right in np.reshape(figure.axes, (count, 3)):
        value, perfect = (line.get_ydata() for line in left.lines)
        np.testing.assert_allclose(value, 1 + 1 / np.array(numbers))
        np.testing.assert_allclose(perfect, 0.5 * np.sqrt(1 + 1 / np.array(numbers)))
        assert [label.get_text() for label in left.get_xticklabels()] == [str(n) for n in numbers]
        assert [bar.get_height() for bar in middle.patches] == [1.0] * (most + 1)
        _, members = right.lines
        np.testing.assert_allclose(members.get_xdata(), members.get_ydata())
        assert np.isnan(members.get_xdata()).all() == missing
        assert [text.get_text()[:10] for text in right.texts] == ['not tested'] * missing
        assert left.get_ylim()[1] > max(*value, *perfect)
    assert [panel.get_ylabel() for panel in figure.axes[::3]] == ['RMSE (K)', 'RMSE (m)'][:count]


@pytest.mark.parametrize('count', [1, 2])
def test_panels(count):
    variables, units = VARIABLES[:count], ('s-1', 'K')[:count]
    rng = np.random.default_rng(0)
    shown = {name: rng.normal(size=(*SHAPE, count)) for name in ('truth', 'coarse', 'bicubic')}
    shown['bicubic'][3, 4] = np.nan
    assert drawn(figures.fields(shown, variables, units, 'title', 'subtitle')) == count * (3 + 1)  # and a colour bar
    wavelength = np.geomspace(8000, 100, 8)
    for kinetic in (False, True):
        figure = figures.spectra(
            wavelength, methods(count, kinetic), truth(count, kinetic), variables, units, 'title', 'subtitle'
        )
        assert drawn(figure) == 2 * (count + kinetic)
        named = [f'{variable}, ({unit})²' for variable, unit in zip(variables, units, strict=True)]
        above = figure.axes[: count + kinetic]
        assert [panel.get_title('left') for panel in above] == ['kinetic energy, m² s⁻²'] * kinetic + named
        expected = [truth(count)['power'][0], *[LINE[:, 0] * truth(count)['power'][0]] * 2]
        np.testing.assert_allclose([line.get_ydata() for line in above[-1].lines], expected)
        assert all(panel.get_xlim() == pytest.approx((8000, 100)) for panel in figure.axes)
    figure = figures.variograms(KILOMETRES, methods(count), truth(count), variables, 'title', 'subtitle')
    assert drawn(figure) == 2 * count
    maps = {name: {kind: rng.normal(size=(*SHAPE, count)) for kind in ('mean', 'standard_deviation')} for name in 'mn'}
    assert drawn(figures.bias(maps, variables, units, 'title', 'subtitle')) == 2 * count * (2 + 1)
    rows = {variable: BETTER for variable in variables}
    compared = {name: {rival: rows for rival in 'xyz' if rival != name} for name in 'xyz'}
    figure = figures.places(compared, variables, 'title', 'subtitle')
    assert drawn(figure) == count
    pairs = ['y against x', 'z against x', 'z against y']
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == pairs
    bars = [patch.get_width() for patch in figure.axes[-1].patches]
    np.testing.assert_allclose(bars, [2 / 3, 0, 1 / 3] * 3)  # better, equal, worse


def test_no_distance_and_no_place():
    found = {'gan': {'variogram': np.zeros((2, 0, 3))}}
    figure = figures.variograms(np.zeros(0), found, {'variogram': np.zeros((2, 0))}, VARIABLES, 'title', 'subtitle')
    assert drawn(figure) == 4
    assert [panel.texts[0].get_text() for panel in figure.axes] == ['no distance fits the grid'] * 4
    assert drawn(figures.places({}, VARIABLES, 'title', 'subtitle')) == 2
    row = {'a': {**BETTER, 'better': 0, 'worse': 0}}
    nothing = {'x': {'y': row}, 'y': {'x': row}}
    assert drawn(figures.places(nothing, ('a',), 'title', 'subtitle')) == 1


def test_spectra_that_are_missing_or_without_intervals():
    wavelength, missing = np.geomspace(8000, 100, 8), np.full((1, 8, 3), np.nan)
    alone = missing.copy()
    alone[..., 0] = LINE[:, 0]
    for power in (missing, alone, np.zeros((1, 8, 3))):
        found = {'gan': {'power': power}}
        assert drawn(figures.spectra(wavelength, found, truth(1), ('a',), ('K',), 'title', 'subtitle')) == 2


def test_window_of_the_strongest_values():
    truth = np.zeros((*SHAPE, 2))
    truth[5:9, 11:15, 0] = -1
    truth[0, 0, 1] = 9  # of the first variable
    truth[15, 23, 0] = np.nan
    assert figures.window(truth, 4) == (slice(5, 9), slice(11, 15))
    assert figures.window(truth[:8, :8], 8) == (slice(0, 8), slice(0, 8))


def test_window_where_the_field_varies_most():
    truth = np.full((*SHAPE, 1), 301.0)
    truth[:, :12, 0] = 300 + 20 * (-1) ** np.arange(12)  # varied, and a degree colder
    assert figures.window(truth, 8)[1].stop <= 12


def test_no_line_leaves_its_panel():
    power = np.stack([LINE, LINE / 5])
    wavelength, found = np.geomspace(8000, 100, 8), {'gan': {'power': power}}
    figure = figures.spectra(wavelength, found, truth(2), VARIABLES, ('K', 'K'), 'title', 'subtitle')
    low, high = figure.axes[2].get_ylim()
    assert low <= LINE[:, 0].min() / 5 < LINE[:, 0].max() <= high


@pytest.mark.parametrize(
    'count',
    [1, 2],
)
def test_the_first_pair_of_methods_is_on_top(count):
    compared = {name: {rival: {v: BETTER for v in VARIABLES} for rival in 'xy' if rival != name} for name in 'xy'}
    figure = figures.places(compared, VARIABLES[:count], 'title', 'subtitle')
    assert all(panel.yaxis_inverted() for panel in figure.axes)
