"""SSIM and PSNR against scikit-image, and their windows at coasts."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics import similarity as images

RANGE = 3.0


def pair(shape=(31, 40), seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(1.5, 0.5, shape).astype(np.float32)
    return (truth + rng.normal(0, 0.3, shape)).astype(np.float32), truth


@pytest.mark.parametrize('offset', [0.0, 270.0])
def test_ssim_of_full_fields_is_that_of_scikit_image(offset):
    metrics = pytest.importorskip('skimage.metrics')
    field, truth = (np.float64(a) + offset for a in pair())
    expected = metrics.structural_similarity(
        truth, field, data_range=RANGE, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    sums = images.ssim_sums(field[None], truth, np.ones(truth.shape), RANGE)
    assert sums['ssim_weight'] == (31 - 10) * (40 - 10)
    assert sums['ssim'] / sums['ssim_weight'] == pytest.approx(expected, rel=1e-9)
    assert sums['ssim_member'] == sums['ssim']


def test_psnr_is_that_of_scikit_image():
    metrics = pytest.importorskip('skimage.metrics')
    field, truth = pair(seed=1)
    found = images.psnr(np.mean((np.float64(field) - truth) ** 2), RANGE)
    assert found == pytest.approx(metrics.peak_signal_noise_ratio(truth, field, data_range=RANGE), rel=1e-6)
    assert images.psnr(np.float64(0), RANGE) == np.inf


def test_what_lies_on_land_does_not_matter():
    field, truth = pair(seed=2)
    weight = np.ones(truth.shape)
    weight[:9, :12] = 0
    spoilt = np.where(weight > 0, field, 1e6), np.where(weight > 0, truth, np.nan)
    clean = images.ssim_sums(field[None], truth, weight, RANGE)
    found = images.ssim_sums(spoilt[0][None], spoilt[1], weight, RANGE)
    assert found['ssim'] == pytest.approx(clean['ssim'], rel=1e-6)
    # 11 x 11 cells whose windows lie in the domain, but for those that reach the land
    assert found['ssim_weight'] == 21 * 30 - 9 * 12
    assert images.whole_windows(weight > 0).sum() == 21 * 30 - 9 * 12


def test_windows_count_by_the_area_of_their_centres():
    field, truth = pair(seed=3)
    local = images.ssim(field, truth, RANGE)[5:-5, 5:-5]
    weight = np.ones(truth.shape)
    weight[:15] = 3
    sums = images.ssim_sums(field[None], truth, weight, RANGE)
    assert sums['ssim'] / sums['ssim_weight'] == pytest.approx(np.average(local, weights=weight[5:-5, 5:-5]))


def test_mean_and_members():
    _, truth = pair(seed=4)
    ensemble = truth + np.random.default_rng(5).normal(0, 0.3, (8, *truth.shape))
    weight = np.ones(truth.shape)
    sums = images.ssim_sums(ensemble, truth, weight, RANGE)
    single = np.mean([images.ssim_sums(one[None], truth, weight, RANGE)['ssim'] for one in ensemble])
    assert sums['ssim_member'] == pytest.approx(single)
    assert sums['ssim'] == pytest.approx(images.ssim_sums(ensemble.mean(0)[None], truth, weight, RANGE)['ssim'])
    assert sums['ssim_member'] < sums['ssim'] < sums['ssim_weight']


def test_perfect_and_empty():
    _, truth = pair(seed=6)
    sums = images.ssim_sums(truth[None], truth, np.ones(truth.shape), RANGE)
    assert sums['ssim'] == pytest.approx(sums['ssim_weight'])
    nothing = images.ssim_sums(truth[None], np.full_like(truth, np.nan), np.zeros(truth.shape), RANGE)
    assert nothing == {'ssim': 0, 'ssim_member': 0, 'ssim_weight': 0}
