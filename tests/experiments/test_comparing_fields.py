import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.atmodist import LearnedDistance
from experiments import comparing_fields as comparing

SIZE = 64
EVERYWHERE = np.ones((SIZE, SIZE), bool)


@pytest.fixture(scope='module')
def field():
    """Smooth ice with some narrow leads, and the margin."""
    rng = np.random.default_rng(3)
    side = SIZE + 2 * comparing.MARGIN
    ice = 2 + 4 * ndimage.gaussian_filter(rng.standard_normal((side, side)), 3)
    ice[:, 10::23] -= 0.6
    ice[25::31] -= 0.6
    return ndimage.gaussian_filter(ice, 0.5)[None]


@pytest.fixture(scope='module')
def distorted(field):
    return comparing.distort(field, comparing.ICE)


def ratio(distorted, field, name):
    """Power over truth's in each ring of windows of half the field."""
    origins = spectra.windows(EVERYWHERE, EVERYWHERE, SIZE // 2)
    pair = (comparing.inside(distorted[name][1])[0], comparing.inside(field)[0])
    power, truth = (spectra.power(spectra.transform(f, origins, SIZE // 2)) for f in pair)
    return power / truth


def test_all_errors_are_equal(distorted, field):
    errors = {n: np.mean(comparing.inside(f - field) ** 2) for n, (_, f) in distorted.items()}
    assert set(errors) == {'shift', 'blur', 'noise', 'contrast', 'missing leads'}
    np.testing.assert_allclose(list(errors.values()), errors['shift'], rtol=1e-3)


def test_strengths_have_closed_forms(distorted, field):
    """Noise errs by its variance; a share lost of the contrast by that share's square of the mean square departure."""
    error = np.mean(comparing.inside(distorted['shift'][1] - field) ** 2)
    drawn = np.random.default_rng(0).standard_normal(field.shape)
    assert distorted['noise'][0] == pytest.approx(np.sqrt(error / np.mean(comparing.inside(drawn) ** 2)), rel=1e-3)
    departure = np.mean(comparing.inside(field - field.mean()) ** 2)
    assert distorted['contrast'][0] == pytest.approx(np.sqrt(error / departure), rel=1e-3)


def test_what_each_distortion_does_to_the_power(distorted, field):
    fine = slice(SIZE // 8, None)  # eight cells and less
    assert (ratio(distorted, field, 'blur')[fine] < 0.2).all()
    assert (ratio(distorted, field, 'noise')[-4:] > 1.5).all()
    np.testing.assert_allclose(ratio(distorted, field, 'contrast'), (1 - distorted['contrast'][0]) ** 2, rtol=1e-6)
    np.testing.assert_allclose(ratio(distorted, field, 'shift'), 1, atol=0.3)
    assert (distorted['missing leads'][1] >= field).all()  # nothing but filling


def test_a_shifted_field_is_the_nearest_by_its_spectrum_alone(distorted, field):
    measures = comparing.distances(data_range=float(np.ptp(field)))
    scores = {
        name: {m: f(comparing.inside(values), comparing.inside(field)) for m, f in measures.items()}
        for name, (_, values) in distorted.items()
    }
    by_spectrum = sorted(scores, key=lambda name: scores[name]['spectral distance'])
    assert by_spectrum[0] == 'shift'
    assert by_spectrum[-1] == 'blur'
    assert max(scores, key=lambda name: scores[name]['SSIM']) == 'contrast'
    table = comparing.table(scores, {name: strength for name, (strength, _) in distorted.items()})
    assert table.count('\n') == 6


def test_distances_in_closed_form():
    truth = np.random.default_rng(0).standard_normal((2, SIZE, SIZE))
    measures = comparing.distances(data_range=10.0)
    assert measures['MSE'](truth + 0.1, truth) == pytest.approx(0.01)
    assert measures['PSNR (dB)'](truth + 0.1, truth) == pytest.approx(40)
    assert measures['SSIM'](truth, truth) == pytest.approx(1)
    assert measures['spectral distance'](truth + 5, truth) == pytest.approx(0, abs=1e-9)  # a mean has no wavelength
    assert measures['spectral distance'](3 * truth, truth) == pytest.approx(2 * np.log(3))
    assert measures['spectral distance'](truth / 3, truth) == pytest.approx(2 * np.log(3))


def test_closing_fills_a_lead_and_leaves_a_ridge():
    ice = np.ones((40, 40))
    ice[:, 10], ice[:, 30] = 0.2, 3
    filled = comparing.missing_leads(ice, 1.0)
    np.testing.assert_allclose(filled[:, 10], 1)
    np.testing.assert_allclose(filled[:, 30], 3)
    np.testing.assert_allclose(comparing.missing_leads(ice, 0.25)[:, 10], 0.4)


def test_filaments_of_either_sign_go():
    bands = np.zeros((2, 40, 40))
    bands[0, :, 10], bands[0, :, 30], bands[1, 5] = -1, 1, 2
    np.testing.assert_allclose(comparing.missing_filaments(bands, 1.0), 0)
    np.testing.assert_allclose(comparing.missing_filaments(bands, 0.25), 0.75 * bands)
    disc = np.hypot(*np.mgrid[-20:20, -20:20]) < 9
    np.testing.assert_array_equal(comparing.missing_filaments(disc * 1.0, 1.0), disc)


def test_two_fields_are_distorted_alike(field):
    """The second is the first turned upside down: whatever happens to one happens to the other."""
    both = np.concatenate([field, -field[:, ::-1]])
    found = comparing.distort(both, comparing.ATMOSPHERE)
    errors = {name: np.mean(comparing.inside(f - both) ** 2, (1, 2)) for name, (_, f) in found.items()}
    np.testing.assert_allclose([e.mean() for e in errors.values()], errors['shift'].mean(), rtol=1e-3)
    for name in ('shift', 'blur', 'contrast'):
        np.testing.assert_allclose(found[name][1][1], -found[name][1][0, ::-1], rtol=1e-12, atol=1e-12)
    parts = comparing.inside(found['noise'][1] - both)
    assert abs(np.corrcoef(parts[0].ravel(), parts[1].ravel())[0, 1]) < 0.05


def test_the_square_has_no_gap():
    field = np.random.default_rng(0).standard_normal((1, 80, 120)).astype(np.float32)
    field[:, :, 60:] *= 5
    field[:, 40, 118] = np.nan
    found = comparing.square(field, 16)
    assert found.shape == (1, 48, 48)
    assert np.isfinite(found).all()
    assert found.std() > 3
    for size in (64, 84):
        with pytest.raises(UserError, match=f'no square of {size + 32} x {size + 32} cells'):
            comparing.square(field, size)


def test_mistakes_are_told():
    with pytest.raises(UserError, match='same value everywhere'):
        comparing.distort(np.ones((1, 64, 64)), comparing.ICE)
    with pytest.raises(UserError, match='blur cannot err as much'):
        comparing.distort(np.indices((1, 64, 64)).sum(0) % 2 * 1.0, comparing.ICE)  # shifted by one it is its opposite


def test_a_real_file(shared_data, capsys, monkeypatch, tmp_path):
    path = shared_data / 'nsidc_siconc_arctic_daily_2015-2016.nc'
    arguments = [f'--path={path}', '--variable=siconc', '--time=2016-08-15', '--size=32']
    monkeypatch.setattr('sys.argv', ['comparing_fields.py', *arguments, f'--figure={tmp_path / "a.png"}'])
    comparing.main()
    assert '| missing leads |' in capsys.readouterr().out
    assert (tmp_path / 'a.png').stat().st_size > 20_000


class Stub(LearnedDistance):
    """A distance in closed form in the place of a trained one: that of the mean vorticities, squared, in s-2."""

    tasks = {'lags': None}  # noqa: RUF012
    config = {  # noqa: RUF012
        'seed': 3,
        'data': {'path': '', 'simulate': {'days': 9, 'rows': 32}, 'test': (), 'patch': 16},
    }

    class prepared:
        transform = Standardisation(
            ('vorticity', 'divergence'), ('s-1', 's-1'), (0.0, 0.0), (2e-5, 4e-6), (0.0, 0.0), (1.0, 1.0)
        )
        statics = xr.Dataset(coords={'lat': [-1.0, 1.0], 'lon': [0.0, 1.0]})

        @classmethod
        def transform_as(cls, kind):
            return cls.transform

    def __init__(self):
        pass

    def distance(self, a, b, stage=0):
        fields = [self._canonical(one)['vorticity'].mean(('y', 'x')) for one in (a, b)]
        return (fields[0] - fields[1]) ** 2


def test_a_state_of_the_atmosphere_and_its_learned_distance(tmp_path, monkeypatch, capsys):
    """Broad waves on a globe of 32 rows; what is asked of the simulation is one day of another seed."""
    rng, asked = np.random.default_rng(0), []
    waves = ndimage.gaussian_filter(rng.standard_normal((2, 8, 32, 64)), (0, 0, 1, 1), mode='wrap')

    def simulated(data, seed):
        asked.append((data['simulate'], seed))
        dims = ('time', 'lat', 'lon')
        scaled = zip(('vorticity', 'divergence'), waves, (2e-5, 4e-6), strict=True)
        return xr.Dataset(
            {name: (dims, (std * values).astype('f4'), {'units': 's-1'}) for name, values, std in scaled},
            {
                'time': np.datetime64('2001-01-01', 'ns') + 3 * np.arange(8) * np.timedelta64(1, 'h'),
                'lat': ('lat', np.linspace(-87, 87, 32), {'units': 'degrees_north'}),
                'lon': ('lon', np.arange(64) * 5.625, {'units': 'degrees_east'}),
            },
        )

    monkeypatch.setattr(comparing, 'open_series', simulated)
    monkeypatch.setattr(comparing.downscale_jax, 'load', lambda workdir, kind: Stub())
    state = comparing.read_atmosphere(tmp_path)
    assert asked == [({'days': 1, 'rows': 32}, 4)]
    assert state.label == 'idealised vorticity (shown) and divergence, 2001-01-01'
    margin = comparing.MARGIN
    np.testing.assert_allclose(state.fields[:, margin:-margin, margin:-margin], waves[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(state.fields[..., :margin], state.fields[..., -2 * margin : -margin])
    np.testing.assert_array_equal(state.fields[:, margin - 1], state.fields[:, margin])
    square = state.fields[:, :16, :16]
    # 0.1 standard deviations of vorticity are 2e-6 s-1; divergence is not in this distance
    further = square + np.array([0.1, 5])[:, None, None]
    assert state.learned['AtmoDist'](further, square) == pytest.approx(4e-12, rel=1e-4)

    monkeypatch.setattr('sys.argv', ['comparing_fields.py', '--workdir', f'--figure={tmp_path / "a.png"}'])
    comparing.main()
    told = capsys.readouterr().out
    assert '| features | AtmoDist |' in told
    assert '| missing filaments |' in told
    assert (tmp_path / 'a.png').stat().st_size > 20_000
