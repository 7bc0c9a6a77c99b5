"""The training score of small ensembles: by hand, fair, and proper where aligned blocks would not be."""

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.tasks.ensemble_score import LEVELS, amplitudes, ensemble_score, fair_crps, undecimated_haar

SCORE = jax.jit(ensemble_score)


def smooth(rng, shape):
    """Gaussian fields [..., H, W, 1] of unit variance, correlated over a few cells."""
    waves = np.hypot(np.fft.fftfreq(shape[-2])[:, None], np.fft.rfftfreq(shape[-1])) + 0.05
    fields = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * waves**-2, shape[-2:])
    return (fields / fields.std())[..., None].astype('f4')


def test_by_hand():
    # mean |x - y| = (1 + 2 + 6)/3, pairs |0 - 3| + |0 - 7| + |3 - 7| = 14 over K (K - 1) = 6
    found = fair_crps(jnp.array([0.0, 3.0, 7.0]), jnp.array(1.0))
    np.testing.assert_allclose(found, 9 / 3 - 14 / 6, rtol=1e-6)


def test_fair_for_any_number_of_members():
    """With members from the distribution of the truth, here normal, the expectation is E|x - y|/2 = 1/sqrt(pi)."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=100_000)
    for count in (2, 5):
        found = fair_crps(jnp.asarray(rng.normal(size=(count, truth.size))), jnp.asarray(truth))
        np.testing.assert_allclose(found.mean(), 1 / np.sqrt(np.pi), rtol=0.02)


def test_details_and_approximation_give_the_field_back():
    fields = np.random.default_rng(0).normal(size=(2, 32, 40, 3)).astype('f4')
    bands = list(undecimated_haar(jnp.asarray(fields), LEVELS))
    assert len(bands) == 3 * LEVELS + 1
    total = sum(np.asarray(band)[:, :17, :25] for band in bands)
    np.testing.assert_allclose(total, fields[:, :17, :25], atol=1e-5)
    means = fields.reshape(2, 2, 16, 40, 3)[:, :, :, :32].reshape(2, 2, 16, 2, 16, 3).mean((2, 4))
    np.testing.assert_allclose(np.asarray(bands[-1])[:, ::16, ::16], means, atol=1e-5)
    # a step of 1 from one row to the next shows in the first detail of the finest level only at the step
    step = jnp.asarray(np.repeat([0.0, 1.0], 16)[None, :, None, None] * np.ones((1, 1, 32, 1)))
    rows = np.asarray(next(undecimated_haar(step, 1)))[0, :, 0, 0]
    np.testing.assert_array_equal(rows, -0.5 * (np.arange(31) == 15))


def test_amplitudes():
    """Of white noise 1 in the mean square; of a plane wave, whose taper spreads it over its neighbours, independent of
    its phase."""
    noise = np.random.default_rng(0).normal(size=(200, 16, 24, 1)).astype('f4')
    found = np.asarray(amplitudes(jnp.asarray(noise)))
    assert found.shape == (200, 16, 13, 1)
    np.testing.assert_allclose(np.square(found).mean(0), 1, atol=0.5)
    np.testing.assert_allclose(np.square(found).mean(), 1, rtol=0.02)
    phase = np.linspace(0, 6, 5)[:, None, None, None]
    wave = np.cos(2 * np.pi * 6 * np.arange(24)[None, None, :, None] / 24 + phase) * np.ones((1, 16, 1, 1))
    of_wave = np.asarray(amplitudes(jnp.asarray(wave.astype('f4'))))
    np.testing.assert_allclose(of_wave[:, 0, 6], of_wave[:1, 0, 6].repeat(5, 0), rtol=1e-3)
    assert of_wave[0].reshape(-1).argmax() == 6


def test_the_true_distribution_scores_best():
    """Against the right ensemble: one twice as wide, one of the right variance without correlation, and one whose
    aligned blocks of 4 x 4 cells come from different fields."""
    rng = np.random.default_rng(0)
    fields = [smooth(rng, (128, 32, 32)) for _ in range(3)]
    truth, *members = fields
    mask = np.ones((128, 32, 32, 1), bool)

    def shuffled(x):
        blocks = x.reshape(128, 8, 4, 8, 4).transpose(1, 3, 0, 2, 4).copy()
        for block in blocks.reshape(64, 128, 16):
            rng.shuffle(block)
        return blocks.transpose(2, 0, 3, 1, 4).reshape(128, 32, 32, 1)

    ensembles = {
        'right': members,
        'wide': [2 * x for x in members],
        'white': [rng.normal(size=x.shape).astype('f4') for x in members],
        'blocks': [shuffled(x) for x in members],
    }
    scores = {name: float(SCORE(np.stack(x), truth, mask).mean()) for name, x in ensembles.items()}
    assert all(score > 1.03 * scores['right'] for name, score in scores.items() if name != 'right'), scores


def test_land_counts_in_the_share_only():
    """Half of every field masked: the score, summed over the domain, per valid cell."""
    rng = np.random.default_rng(0)
    truth, one, two = (smooth(rng, (3, 32, 32)) for _ in range(3))
    mask = np.ones((3, 32, 32, 1), bool)
    mask[:, :16] = False
    truth, one, two = (np.where(mask, x, 0) for x in (truth, one, two))
    half, whole = (SCORE(np.stack([one, two]), truth, m) for m in (mask, np.ones_like(mask)))
    np.testing.assert_allclose(half, 2 * whole, rtol=1e-5)
    nothing = np.zeros_like(truth)
    np.testing.assert_array_equal(SCORE(np.stack([nothing, nothing]), nothing, np.zeros_like(mask)), 0)
