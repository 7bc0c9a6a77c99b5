"""Scores of structure: zero for the truth, independent of place, larger for a blurred field."""

import numpy as np
from scipy import ndimage

SCORES = {
    'scattering': ('scattering',),
    'increments': ('increment_kurtosis', 'increment_skewness'),
    'features': ('features',),
}


def test_truth_and_blur(of_setting, of_samples, result_of):
    setting = of_setting(1)
    samples = []
    for one in of_samples(setting, times=3):
        truth = np.nan_to_num(one.truth)
        blurred = ndimage.gaussian_filter(truth, (1, 1, 0))
        samples.append(one._replace(methods={**one.methods, 'net': truth[None], 'gen_9': np.stack([blurred] * 5)}))
    for measure, names in SCORES.items():
        found = result_of(measure, setting, samples)
        for name in names:
            np.testing.assert_allclose(found.scores['net'][name][0], 0, atol=1e-6)
            assert found.scores['gen_9'][name][0] > 0.02
        (table,) = found.tables
        assert list(table.rows) == ['truth', *setting.complete]
        np.testing.assert_allclose(
            np.array(table.rows['net'])[:, 0], np.array(table.rows['truth'])[:, 0], rtol=1e-5, equal_nan=True
        )
