"""Decorrelated bands of multispectral scenes."""

import numpy as np

from downscale_jax.fields.transforms.kinds import read_transform
from downscale_jax.fields.transforms.scenes import SceneTransform, decorrelation
from downscale_jax.fields.transforms.standardisation import Standardisation

ZEROS, ONES = (0.0,) * 4, (1.0,) * 4
CHANNELS = Standardisation(('red', 'swir', 'elevation', 'slope'), ('1', '1', 'm', '1'), ZEROS, ONES, ZEROS, ONES, 0.0)


def test_components_have_unit_variance_and_no_correlation():
    rng = np.random.default_rng(0)
    light, rest = rng.standard_normal((2, 20_000)) * np.array([[1.0], [0.05]])
    spectra = np.stack([light + rest, light - rest], -1)
    components = spectra @ np.array(decorrelation([spectra[:5000], spectra[5000:]]))
    np.testing.assert_allclose(components.T @ components / len(spectra), np.eye(2), atol=1e-6)
    # by decreasing variance: the common light, then the difference
    np.testing.assert_allclose(
        abs(components.T @ np.stack([light, rest / 0.05], -1)) / len(spectra), np.eye(2), atol=0.03
    )


def test_equal_bands_are_not_divided_by_zero():
    spectra = np.repeat(np.linspace(-1, 1, 50)[:, None], 2, 1)
    assert np.abs(decorrelation([spectra])).max() < 200


def test_only_bands_are_mixed():
    transform = SceneTransform(CHANNELS, ((1.0, 2.0), (0.0, -1.0)))
    x = np.array([[[1.0, 2.0, 3.0, 4.0], [np.nan, 2.0, 3.0, 4.0]]])
    z = transform.encode(x)
    np.testing.assert_array_equal(z[0, 0], [1, 0, 3, 4])
    np.testing.assert_array_equal(np.isnan(z[0, 1]), [True, True, False, False])
    assert z.dtype == np.float32
    assert SceneTransform.from_json(transform.to_json()) == transform


def test_scenes_of_older_work_directories_were_only_standardised():
    transform = read_transform('scenes', CHANNELS.to_json())
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(transform.encode(x), CHANNELS.encode(x))
