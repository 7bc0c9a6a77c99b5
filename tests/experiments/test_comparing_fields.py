import comparing_fields as comparing
import numpy as np
import pytest
from scipy import ndimage

from downscale_jax.evaluation import spectra
from downscale_jax.runtime.errors import UserError

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
    return ndimage.gaussian_filter(ice, 0.5)


@pytest.fixture(scope='module')
def distorted(field):
    return comparing.distort(field)


def ratio(distorted, field, name):
    """Power over truth's in each ring of windows of half the field."""
    origins = spectra.windows(EVERYWHERE, EVERYWHERE, SIZE // 2)
    pair = (comparing.inside(distorted[name][1]), comparing.inside(field))
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
    truth = np.random.default_rng(0).standard_normal((SIZE, SIZE))
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


def test_the_liveliest_square_has_no_gap():
    field = np.random.default_rng(0).standard_normal((80, 120)).astype(np.float32)
    field[:, 60:] *= 5
    field[40, 118] = np.nan
    found = comparing.liveliest(field, 16)
    assert found.shape == (48, 48)
    assert np.isfinite(found).all()
    assert found.std() > 3
    with pytest.raises(UserError, match='no square of 96 x 96 cells'):
        comparing.liveliest(field, 64)


def test_mistakes_are_told():
    with pytest.raises(UserError, match='same value everywhere'):
        comparing.distort(np.ones((64, 64)))
    with pytest.raises(UserError, match='blur cannot err as much'):
        comparing.distort(np.indices((64, 64)).sum(0) % 2 * 1.0)  # shifted by one it is its opposite


def test_a_real_file(shared_data, capsys, monkeypatch, tmp_path):
    path = shared_data / 'nsidc_siconc_arctic_daily_2015-2016.nc'
    arguments = [f'--path={path}', '--variable=siconc', '--time=2016-08-15', '--size=32']
    monkeypatch.setattr('sys.argv', ['comparing_fields.py', *arguments, f'--figure={tmp_path / "a.png"}'])
    comparing.main()
    assert '| missing leads |' in capsys.readouterr().out
    assert (tmp_path / 'a.png').stat().st_size > 20_000
