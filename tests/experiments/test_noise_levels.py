from experiments.noise_levels import errors


def test_fast_sinusoids_err_between_trained_levels():
    fast, slow = (errors(turns, steps=400) for turns in (1000.0, 100.0))
    assert fast.sampled > 1.5 * fast.trained
    assert slow.sampled < 1.3 * slow.trained
    assert slow.sampled < 0.5 * fast.sampled
