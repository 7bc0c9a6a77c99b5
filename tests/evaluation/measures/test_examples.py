"""The time and the windows that figures show."""

import numpy as np

from downscale_jax.evaluation.measures.examples import Examples, liveliest


def test_the_liveliest_window_is_where_the_anomaly_is_largest():
    anomaly, mask = np.zeros((20, 30)), np.ones((20, 30), bool)
    anomaly[7:11, 12:16] = -1
    assert liveliest(anomaly, mask, 4) == (7, 12, 4)


def test_the_liveliest_window_has_its_share_of_cells():
    anomaly, mask = np.zeros((4, 20)), np.ones((4, 20), bool)
    anomaly[:, :4], anomaly[:, 8:12], anomaly[:, 16:] = 9, 5, 4.7
    mask[:, 1:3] = False  # half of the first
    anomaly[0, 11] = np.nan  # a sixteenth of the second
    assert liveliest(anomaly, mask, 4, share=0.5) == (0, 0, 4)
    assert liveliest(anomaly, mask, 4, share=0.75) == (0, 8, 4)
    assert liveliest(anomaly, mask, 4, share=1) == (0, 16, 4)
    mask[2] = False  # of all
    assert liveliest(anomaly, mask, 4, share=1) == (0, 16, 4)


def test_the_time_at_which_the_coarse_field_errs_most(of_setting, of_samples):
    setting = of_setting(2)
    samples = of_samples(setting, times=3)
    samples[1].methods['coarse'][0, ..., 0] += 5
    samples[2].methods['coarse'][0, ..., 1] += 100  # of the second variable
    measure = Examples(setting)
    for sample in samples:
        measure.add(sample)
    result = measure.result()
    assert [figure.name for figure in result.figures] == ['maps_t', 'maps_r', 'window']
    assert all(any('2001-06-02' in text.get_text() for text in figure.drawing.texts) for figure in result.figures)
