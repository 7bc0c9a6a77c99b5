"""Increments against scipy, and their signs for leads and ridges."""

import numpy as np
import scipy.stats

from downscale_jax.evaluation.statistics.structure.increments import LAGS, day_sums, summarise


def test_against_scipy():
    rng = np.random.default_rng(0)
    fields = rng.gamma(0.5, size=(3, 30, 40))
    known = rng.random((30, 40)) < 0.9
    found = summarise(day_sums(fields, known))
    values = np.where(known, fields, np.nan)
    for place, lag in enumerate(LAGS):
        first, second = [], []
        for along in (values, values.swapaxes(1, 2)):
            first.append(along[..., lag:] - along[..., :-lag])
            second.append(along[..., 2 * lag :] - 2 * along[..., lag:-lag] + along[..., : -2 * lag])
        one, two = (np.concatenate([part[np.isfinite(part)] for part in parts]) for parts in (first, second))
        # about zero, which is their mean but for the edges
        np.testing.assert_allclose(found['kurtosis'][place], np.mean(one**4) / np.mean(one**2) ** 2, rtol=1e-12)
        np.testing.assert_allclose(found['kurtosis'][place], scipy.stats.kurtosis(one, fisher=False), rtol=0.05)
        np.testing.assert_allclose(found['skewness'][place], np.mean(two**3) / np.mean(two**2) ** 1.5, rtol=1e-12)


def test_gaussian_noise_and_lines():
    everywhere = np.ones((200, 200), bool)
    noise = np.random.default_rng(0).normal(size=(1, 200, 200))
    found = summarise(day_sums(noise, everywhere))
    np.testing.assert_allclose(found['kurtosis'], 3, atol=0.1)
    np.testing.assert_allclose(found['skewness'], 0, atol=0.05)
    leads = np.zeros((1, 200, 200))
    leads[..., ::20] = -1.0
    found, ridges = (summarise(day_sums(fields, everywhere)) for fields in (leads, -leads))
    assert (found['skewness'] > 1).all()
    np.testing.assert_allclose(ridges['skewness'], -found['skewness'])
    # 19 of 199 differences in a row are +-1, those along columns 0: the kurtosis is 1 over the share of the former
    np.testing.assert_allclose(found['kurtosis'][0], 2 * 199 / 19)


def test_a_constant_field_has_no_increments():
    found = summarise(day_sums(np.ones((2, 20, 20)), np.ones((20, 20), bool)))
    assert np.isnan(found['kurtosis']).all()
    assert np.isnan(found['skewness']).all()
