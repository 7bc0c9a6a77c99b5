"""Power, error and correlation by wavelength over windows free of gaps."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics import scales, windows


@pytest.mark.parametrize(('count', 'zone'), [(1, True), (2, False)])
def test_power_of_the_anomaly_against_windows(of_setting, of_samples, result_of, count, zone):
    setting = of_setting(count, zone)
    samples = of_samples(setting)
    found = result_of('scales', setting, samples)
    size = setting.window
    for v, variable in enumerate(setting.variables):
        power, truth, number = np.zeros(size // 2), np.zeros(size // 2), 0
        for one in samples:
            known = np.isfinite(one.truth[..., v])
            inside = one.coarse[..., v] > variable.zone.above if variable.zone else known
            origins = windows.windows(known, known & inside, size)
            number += len(origins)
            anomalies = one.methods['gen_9'][..., v] - one.coarse[..., v]
            power += sum(windows.power(windows.transform(a, origins, size)) for a in anomalies) / 9
            truth += windows.power(windows.transform(one.truth[..., v] - one.coarse[..., v], origins, size))
        details = found.details[variable.name]
        assert details.windows == number > 0
        ratio = details.spectrum['gen_9']['power'][:, 0]
        np.testing.assert_allclose(ratio, power / truth, rtol=1e-6)
        rings = scales.scored(details.wavelength_km, variable.kernel_km, setting.cell_km)
        row = found.scores['gen_9']
        assert row[setting.name('power_low', variable)][0] == ratio[rings].min()
        assert row[setting.name('power_high', variable)][0] == ratio[rings].max()
        assert 'gen_2' not in found.scores
        assert list(details.spectrum) == ['coarse', 'net', 'gen_9', 'mean']
    assert [table.title for table in found.tables] == [f'Scales of gen_9: {v.label}' for v in setting.variables]


def test_what_is_known_and_what_is_made_up(of_setting, of_fields, result_of):
    """The long half of the waves is known to all; members add noise of the right power at the short ones."""
    setting = of_setting(1)
    rng, shape, samples = np.random.default_rng(0), setting.weight.shape, []
    for index in range(8):
        truth, *noise = rng.normal(size=(10, *shape, 1))
        methods = {'coarse': np.zeros((*shape, 1)), 'net': 0.5 * truth, 'gen_2': np.stack(noise[:2])}
        methods['gen_9'] = np.stack(noise)
        samples.append(of_fields(setting, truth, methods, index=index))
    found = result_of('scales', setting, samples).details['t'].spectrum
    np.testing.assert_allclose(found['net']['power'][:, 0], 0.25, rtol=1e-6)
    np.testing.assert_allclose(found['net']['error'][:, 0], 0.25, rtol=1e-6)
    np.testing.assert_allclose(found['net']['correlation'][:, 0], 1, rtol=1e-6)
    assert found['gen_9']['error'][:, 0].mean() == pytest.approx(2, abs=0.15)
    assert found['mean']['error'][:, 0].mean() == pytest.approx(1 + 1 / 9, abs=0.1)


def test_no_window_is_free_of_gaps(of_setting, of_samples, result_of):
    setting = of_setting(1, window=24)
    found = result_of('scales', setting, of_samples(setting, times=2))
    assert (found.scores, found.details['t'].windows, found.tables) == ({}, 0, [])
    assert len(found.figures) == 2


def test_rows_near_a_pole_are_in_no_window(of_setting, of_samples):
    import xarray as xr

    from downscale_jax.evaluation.measures.scales import Scales

    lat, lon = 62 + np.arange(24), np.arange(32.0)
    grid = xr.Dataset({'mask': (('lat', 'lon'), np.ones((24, 32), bool))}, {'lat': lat, 'lon': lon})
    grid = grid.assign(cell_area=(('lat', 'lon'), np.ones((24, 32))))
    rows = Scales(of_setting(1, statics=grid))._rows[:, 0]
    np.testing.assert_array_equal(rows, np.cos(np.deg2rad(lat)) >= np.cos(np.deg2rad(62)) / 2)
