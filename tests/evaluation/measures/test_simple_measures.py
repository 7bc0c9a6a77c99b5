"""Measures of a few lines: anomaly correlation, similarity, bounds, closure, lag-1 correlation, hot and dry times."""

import numpy as np
import pytest

from downscale_jax.fields.geometry.boxes import box_filter
from downscale_jax.fields.geometry.grid import cell_sizes_km


def stacked(samples, method, v, mean=True):
    """[T, H, W] of the mean, or members [M, T, H, W]."""
    members = np.stack([one.methods[method][..., v] for one in samples], 1).astype(float)
    return members.mean(0) if mean else members


def truth_of(samples, v):
    return np.stack([one.truth[..., v] for one in samples]).astype(float)


@pytest.mark.parametrize('count', [1, 2])
def test_anomaly_correlation(of_setting, of_samples, result_of, count):
    setting = of_setting(count)
    samples = [one._replace(month=7) if one.month == 6 else one for one in of_samples(setting)]
    found = result_of('anomaly_correlation', setting, samples).scores
    normal = np.array([0.5 if one.month == 7 else 0.0 for one in samples])[:, None, None]
    for method in found:
        for v, variable in enumerate(setting.variables):
            x, y = (field - normal for field in (stacked(samples, method, v), truth_of(samples, v)))
            x, y = np.where(np.isfinite(y), x, 0), np.nan_to_num(y)
            product, *squares = (np.sum(setting.weight * values) for values in (x * y, x * x, y * y))
            estimate = found[method][setting.name('acc', variable)]
            assert estimate[0] == pytest.approx(product / np.sqrt(np.prod(squares)), rel=1e-5)
    assert found['gen_9'][setting.name('acc', setting.variables[0])][0] > 0.8


@pytest.mark.parametrize('count', [1, 2])
def test_similarity_is_that_of_scikit_image(of_setting, of_samples, result_of, count):
    metrics = pytest.importorskip('skimage.metrics')
    setting = of_setting(count)
    samples = of_samples(setting, times=2)
    found = result_of('similarity', setting, samples).scores
    for v, variable in enumerate(setting.variables):
        local, weight = [], []
        for one in samples:
            truth = one.truth[..., v].astype(float)
            known = np.isfinite(truth) & (setting.weight > 0)
            fields = [one.methods['net'][0, ..., v], one.methods['gen_9'].mean(0)[..., v]]
            options = {'data_range': variable.data_range, 'gaussian_weights': True, 'use_sample_covariance': False}
            full = [
                metrics.structural_similarity(np.where(known, truth, 0), np.where(known, f, 0), full=True, **options)[1]
                for f in fields
            ]
            whole = np.zeros(known.shape, bool)
            for row in range(5, known.shape[0] - 5):
                for column in range(5, known.shape[1] - 5):
                    whole[row, column] = known[row - 5 : row + 6, column - 5 : column + 6].all()
            local.append(np.stack(full)[:, whole])
            weight.append(setting.weight[whole])
        for method, values in zip(('net', 'gen_9'), np.concatenate(local, 1), strict=True):
            expected = np.average(values, weights=np.concatenate(weight))
            assert found[method][setting.name('ssim', variable)][0] == pytest.approx(expected, rel=1e-4)
        name = setting.name('ssim_member', variable)
        assert found['gen_9'][name][0] < found['gen_9'][setting.name('ssim', variable)][0]
        np.testing.assert_array_equal(found['net'][name], found['net'][setting.name('ssim', variable)])


def test_bounds_count_values(of_setting, of_samples, result_of):
    setting = of_setting(1)
    first, second = of_samples(setting, times=2)
    samples = [first._replace(clipped={'gen_9': (4.0, 40.0)}), second._replace(clipped={'gen_9': (24.0, 120.0)})]
    found = result_of('bounds', setting, samples).scores
    assert list(found) == ['gen_9']
    # a mean of shares would give both times the same weight
    assert found['gen_9']['out_of_bounds'][0] == 28 / 160


def test_closure_under_the_kernel(of_setting, of_samples, result_of):
    """Of ten members one is off by a half everywhere: the coarse field is the box mean of the others."""
    setting = of_setting(1)
    samples = []
    for one in of_samples(setting, times=2):
        field = one.methods['net'][0]
        dy, dx = cell_sizes_km(setting.statics)
        kernel = setting.variables[0].kernel_km
        coarse = box_filter(field[..., 0], setting.weight, kernel / dy[0], kernel / dx, False)[..., None]
        samples.append(one._replace(coarse=coarse, methods={**one.methods, 'gen_2': np.stack([field, field + 0.5])}))
    found = result_of('closure', setting, samples).scores
    assert set(found) == {'net', 'gen_2', 'gen_9'}  # not the baseline
    assert found['net']['closure'][0] == pytest.approx(0, abs=1e-6)
    assert found['gen_2']['closure'][0] == pytest.approx(np.sqrt(0.25 / 2), rel=1e-5)


@pytest.mark.parametrize('count', [1, 2])
def test_closure_of_blocks(of_setting, of_samples, result_of, count):
    setting = of_setting(count, blocks=True)
    samples = of_samples(setting)
    samples[0].blocks[0, -1, 0] = np.nan  # a block without a coarse value does not count
    found = result_of('closure', setting, samples).scores
    assert set(found) == {'coarse', 'net', 'gen_2', 'gen_9'}
    for v, variable in enumerate(setting.variables):
        truth = truth_of(samples, v)
        known, weight = np.isfinite(truth), np.broadcast_to(setting.weight, truth.shape)
        mean = np.average(truth[known], weights=weight[known])
        deviation = np.sqrt(np.average((truth[known] - mean) ** 2, weights=weight[known]))
        for method in found:
            gaps = [
                setting.coarsen(one.methods[method].mean(0, dtype=float).astype('f4'))[..., v] - one.blocks[..., v]
                for one in samples
            ]
            expected = np.sqrt(np.nanmean(np.square(gaps))) / deviation
            estimate = found[method][setting.name('block_closure', variable)]
            assert estimate[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('count', [1, 2])
def test_lag_1(of_setting, of_samples, result_of, count):
    setting = of_setting(count)
    samples = of_samples(setting)
    found = result_of('lag1', setting, samples)
    assert set(found.scores) == {'coarse', 'net', 'gen_9'} - {'coarse'}  # the anomaly of the coarse field is zero
    pairs = [(0, 1), (1, 2), (3, 4), (4, 5)]
    for v, variable in enumerate(setting.variables):
        truth, coarse = truth_of(samples, v), np.stack([one.coarse[..., v] for one in samples])
        for method, row in {**found.scores, 'truth': found.details['truth']}.items():
            members = truth[None] if method == 'truth' else stacked(samples, method, v, mean=False)
            anomaly = np.where(np.isfinite(truth), members - coarse, np.nan)
            both = [np.concatenate([anomaly[:, pair[k]] for pair in pairs]) for k in (0, 1)]
            gone = ~np.isfinite(both[0] + both[1])
            a, b = (np.where(gone, 0, one) for one in both)
            product, *squares = (np.sum(setting.weight * values) for values in (a * b, a * a, b * b))
            expected = product / np.sqrt(np.prod(squares))
            assert row[setting.name('lag1', variable)][0] == pytest.approx(expected, rel=1e-4), method
    assert all(f'{len(pairs)} pairs' in note for note in found.notes)
    assert len(found.notes) == count
    apart = [one._replace(follows=False) for one in samples]
    assert result_of('lag1', setting, apart).scores == {}


def test_lag_sums_by_hand():
    from downscale_jax.evaluation.measures.lag1 import lag_sums

    first = np.array([[[1.0, 2.0, np.nan]], [[0.0, 1.0, 1.0]]], np.float32)
    second = np.array([[[3.0, 1.0, 5.0]], [[1.0, -1.0, 1.0]]], np.float32)
    found = lag_sums(first, second, np.array([[1.0, 2.0, 9.0]]))
    assert found == {'product': (3 + 2 * 2) + (0 - 2), 'first': (1 + 2 * 4) + 2 * 1, 'second': (9 + 2) + (1 + 2)}


def test_hot_and_dry(of_setting, of_fields, result_of):
    """Hot above 0 and dry below 0: half of the cells of the truth; of two members all and none."""
    setting = of_setting(2)
    shape = setting.weight.shape
    warm = np.where(np.arange(shape[1]) < 20, 1.0, -1.0) * np.ones(shape)
    truth = np.stack([warm, np.full(shape, -1.0)], -1)
    truth[5, :, 1] = np.nan
    members = np.stack([np.broadcast_to([1.0, -1.0], truth.shape), np.full(truth.shape, -1.0)])
    samples = [of_fields(setting, truth, {'gen_9': members, 'net': members[0]}, index=i) for i in range(2)]
    found = result_of('hot_dry', setting, samples)
    weight = np.where(np.isfinite(truth).all(-1), setting.weight, 0)
    share = weight[:, :20].sum() / weight.sum()
    assert {method: row[0] for method, row in found.details.items()} == {
        'truth': pytest.approx(share),
        'gen_9': pytest.approx(0.5),
        'net': 1,
    }
    assert found.tables[0].rows['truth'][0][0] == pytest.approx(100 * share)
    assert found.scores == {}
    alone = of_setting(1)
    assert result_of('hot_dry', alone, [of_fields(alone, truth[..., :1], {'net': truth[..., :1]})]).tables == ()
