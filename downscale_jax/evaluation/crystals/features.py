"""Seven features of a silhouette, the inputs of the rivals (Ko et al., arXiv 2507.19759).

Silhouettes are polygons: contours at half coverage, whose lengths and areas are exact to a fraction of a pixel. Lengths
are in sides of the image.
"""

import contourpy
import numpy as np
import shapely

from downscale_jax.runtime.errors import UserError

NAMES = (
    'aspect_ratio',  # width over length of the smallest rectangle around the contour
    'elliptical_aspect_ratio',  # minor over major axis of the ellipse with the same second moments
    'extreme_points',  # standard deviation of the coordinates of the leftmost, rightmost, lowest and highest point
    'contour_area',
    'area_ratio',  # area A over that of the smallest enclosing circle A_c
    'complexity',  # 10 (0.1 - A / (sqrt(A / A_c) P^2)) with the perimeter P
    'circularity',  # 4 pi A / P^2
)


def features(images: np.ndarray) -> np.ndarray:
    """[N, V 7] features of silhouettes [N, H, W, V], coverage in 0..1, those of a view together.

    Raises UserError for an empty silhouette.
    """
    return np.concatenate([of_view(images[..., view]) for view in range(images.shape[-1])], -1)


def of_view(images: np.ndarray) -> np.ndarray:
    """[N, 7] features of silhouettes [N, H, W]."""
    polygons = np.array([contour(image, number) for number, image in enumerate(images)])
    area, perimeter = shapely.area(polygons), shapely.length(polygons)
    rectangles = shapely.get_coordinates(shapely.oriented_envelope(polygons)).reshape(-1, 5, 2)
    sides = np.sort(np.linalg.norm(np.diff(rectangles[:, :3], axis=1), axis=-1), -1)
    area_ratio = area / (np.pi * shapely.minimum_bounding_radius(polygons) ** 2)
    columns: list[np.ndarray] = [
        sides[:, 0] / sides[:, 1],
        elliptical_aspect_ratio(images),
        np.array([extreme_points(polygon) for polygon in polygons]),
        area,
        area_ratio,
        10 * (0.1 - area / (np.sqrt(area_ratio) * perimeter**2)),
        4 * np.pi * area / perimeter**2,
    ]
    return np.stack(columns, -1)


def contour(image: np.ndarray, number: int = 0) -> shapely.Polygon:
    """The outer contour of the largest piece of a silhouette [H, W]. Raises UserError where it is empty."""
    side = max(image.shape)
    lines = contourpy.contour_generator(z=np.pad(image, 1)).lines(0.5)
    rings = [shapely.Polygon(line / side) for line in lines if len(line) > 3]
    if not rings:
        raise UserError(f'image {number} has an empty silhouette: leave it out')
    return max(rings, key=lambda ring: ring.area)


def elliptical_aspect_ratio(images: np.ndarray) -> np.ndarray:
    """[N] from the eigenvalues of the second central moments of coverage [N, H, W]."""
    weight = images / images.sum((1, 2), keepdims=True)
    grid = np.moveaxis(np.indices(images.shape[1:]), 0, -1).astype(float)
    mean = np.einsum('nhw,hwi->ni', weight, grid)
    moments = np.einsum('nhw,hwi,hwj->nij', weight, grid, grid, optimize=True) - mean[:, :, None] * mean[:, None]
    minor, major = np.linalg.eigvalsh(moments + np.eye(2) / 12).T  # a pixel is a square
    return np.sqrt(minor / major)


def extreme_points(polygon: shapely.Polygon) -> float:
    """Standard deviation over both coordinates of the four extreme points, about their mean."""
    points = np.asarray(polygon.exterior.coords)
    extremes = points[np.concatenate([points.argmin(0), points.argmax(0)])]
    return float(np.sqrt(np.square(extremes - extremes.mean(0)).mean()))
