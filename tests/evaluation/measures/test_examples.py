import numpy as np

from downscale_jax.evaluation import present


def test_the_liveliest_window_is_where_the_anomaly_is_largest():
    anomaly, mask = np.zeros((20, 30)), np.ones((20, 30), bool)
    anomaly[7:11, 12:16] = -1
    assert present.liveliest(anomaly, mask, 4) == (7, 12, 4)


def test_the_liveliest_window_has_its_share_of_cells():
    anomaly, mask = np.zeros((4, 20)), np.ones((4, 20), bool)
    anomaly[:, :4], anomaly[:, 8:12], anomaly[:, 16:] = 9, 5, 4.7
    mask[:, 1:3] = False  # half of the first
    anomaly[0, 11] = np.nan  # a sixteenth of the second
    assert present.liveliest(anomaly, mask, 4, share=0.5) == (0, 0, 4)
    assert present.liveliest(anomaly, mask, 4, share=0.75) == (0, 8, 4)
    assert present.liveliest(anomaly, mask, 4, share=1) == (0, 16, 4)
    mask[2] = False  # of all
    assert present.liveliest(anomaly, mask, 4, share=1) == (0, 16, 4)
