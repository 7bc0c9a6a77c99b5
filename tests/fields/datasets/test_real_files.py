"""Real files of several archives, opened as canonical data sets."""

import numpy as np
import pytest

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.runtime.errors import UserError


@pytest.mark.parametrize(
    ('file', 'names', 'mask', 'dims', 'valid'),
    [
        ('nsidc_siconc_arctic_daily_2015-2016.nc', ['siconc'], 'land_mask', ('time', 'y', 'x'), 0.5),
        ('piomas_sithick_monthly_2010.nc', ['sithick'], '', ('time', 'y', 'x'), 1.0),
        ('gfs_wind10m_1deg_20181006-20181016.nc', ['u10', 'v10'], '', ('time', 'lat', 'lon'), 1.0),
        ('era5_t2m_uk_201903.grib', ['t2m'], '', ('time', 'lat', 'lon'), 1.0),
        ('mrms_rain_conus_20190610.nc', ['pr'], '', ('time', 'lat', 'lon'), 1.0),
        ('wind_vorticity_divergence_2.5deg.nc', ['u', 'v', 'vor', 'div'], '', ('time', 'lat', 'lon'), 1.0),
        ('etopo20.nc', ['z'], '', ('lat', 'lon'), 1.0),
    ],
)
def test_real_files(shared_data, file, names, mask, dims, valid):
    if file.endswith('grib'):
        pytest.importorskip('cfgrib')
    found = canonical(store.open_dataset(shared_data / file), names, mask)
    assert found[names[0]].dims == dims
    assert abs(float(found.mask.mean()) - valid) < 0.1
    field = found[names[0]].isel(time=0, missing_dims='ignore')
    assert np.isfinite(store.load(field)).any()
    if mask:
        assert not np.isfinite(store.load(field.where(~found.mask))).any()
    if dims[1:] == ('y', 'x'):
        assert {'lat', 'lon'} <= set(found.coords)


def test_truncated_grib(shared_data, tmp_path):
    pytest.importorskip('cfgrib')
    whole = (shared_data / 'era5_t2m_uk_201903.grib').read_bytes()
    (tmp_path / 'a.grib').write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(UserError, match=r'a\.grib'):
        store.open_dataset(tmp_path / 'a.grib')
