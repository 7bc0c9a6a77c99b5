"""Scores of images: structural similarity and peak signal-to-noise ratio, for fields with coasts and gaps.

The data range is that of the target in the training split: a range by image would score calm and stormy days alike.
"""

import numpy as np
from scipy import ndimage

SIGMA, RADIUS = 1.5, 5  # cells: the Gaussian window of 11 x 11


def whole_windows(known: np.ndarray) -> np.ndarray:
    """[H, W] bool: centres of the windows of 11 x 11 cells that are known [H, W] throughout and inside the domain."""
    return ndimage.minimum_filter(known, 2 * RADIUS + 1, mode='constant', cval=False)


def ssim(field: np.ndarray, truth: np.ndarray, data_range: float) -> np.ndarray:
    """Structural similarity [H, W] at every window's centre, float64; only `whole_windows` have a meaning.

    With means, variances and covariance under Gaussian weights, C1 = (0.01 R)^2 and C2 = (0.03 R)^2:

        (2 mx my + C1)(2 cov + C2) / ((mx^2 + my^2 + C1)(vx + vy + C2))

    (Wang et al. 2004, doi:10.1109/TIP.2003.819861). On a full field the mean over the whole windows is that of
    scikit-image with gaussian_weights=True and use_sample_covariance=False.
    """
    # products of small departures keep their digits where the field is large
    centre = float(np.nanmean(truth)) if np.isfinite(truth).any() else 0.0
    x, y = (np.nan_to_num(a.astype(np.float64) - centre) for a in (field, truth))
    mx, my, xx, yy, xy = (_blur(a) for a in (x, y, x * x, y * y, x * y))
    vx, vy, cov = xx - mx**2, yy - my**2, xy - mx * my
    mx, my = mx + centre, my + centre
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def _blur(field: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(field, SIGMA, radius=RADIUS)


def ssim_sums(members: np.ndarray, truth: np.ndarray, weight: np.ndarray, data_range: float) -> dict[str, np.ndarray]:
    """Sums of SSIM of the mean and of a member over the whole windows of one day, weighted by their centres' weight.

    members [M, H, W]; truth [H, W]; weight [H, W], 0 where a pixel does not count.
    """
    known = weight > 0
    weight = np.where(whole_windows(known), weight, 0.0)
    shown = np.where(known, truth, np.nan)

    def of(field):
        return np.sum(weight * ssim(np.where(known, field, np.nan), shown, data_range))

    # a member at a time: a few fields in float64, whatever the size of the ensemble
    single = np.mean([of(member) for member in members])
    mean = of(members.mean(0, dtype=np.float64)) if len(members) > 1 else single
    return {'ssim': mean, 'ssim_member': single, 'ssim_weight': weight.sum()}


def psnr(squared_error: np.ndarray, data_range: float | np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, 10 log10(R^2 / mean squared error); infinite without an error."""
    with np.errstate(divide='ignore'):
        return 10 * np.log10(data_range**2 / squared_error)
