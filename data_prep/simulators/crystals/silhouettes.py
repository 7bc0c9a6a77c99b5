"""Silhouettes: parallel projections of watertight meshes on square pixels.

A pixel is covered where at least one face towards the viewer lies above it. The number of such faces changes along a
row of pixels only where the row crosses an edge between a face towards the viewer and a face away from it, by one up or
down. So the few edges of the outline are rasterised, not the thousands of triangles: exact for every closed mesh.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

LINES = 2  # lines per row of pixels on which coverage is computed; along a line it is exact
FILL = 0.9  # longest side of a framed silhouette over the side of the image


class Outline(NamedTuple):
    """A mesh ready for projection: vertices [V, 3]; faces by their normals [F, 3]; edges with the faces to both sides.

    An edge [E, 2] runs from its first to its second vertex as seen from `left` [E]; `right` [E] has it reversed.
    """

    vertices: np.ndarray
    normals: np.ndarray
    edges: np.ndarray
    left: np.ndarray
    right: np.ndarray


def outline(mesh: trimesh.Trimesh) -> Outline:
    """Of a watertight mesh."""
    order = np.lexsort(mesh.edges_sorted.T)
    first, second = order[::2], order[1::2]  # the two half-edges of every edge
    face = mesh.edges_face
    return Outline(mesh.vertices, mesh.face_normals, mesh.edges[first], face[first], face[second])


def project(mesh: Outline, rotations: Rotation, size: int, filled: float = FILL) -> np.ndarray:
    """Silhouettes [N, size, size] in 0..1, the share of each pixel that is covered, of a mesh in N orientations.

    Viewed along z; x runs along columns, y along rows. The bounding box of each projection is centred, and its longest
    side is `filled` of the side of the image.
    """
    return project_views(mesh, [rotations], size, filled)[..., 0]


def project_views(mesh: Outline, rotations: Sequence[Rotation], size: int, filled: float = FILL) -> np.ndarray:
    """Silhouettes [N, size, size, V] in V views on a common scale: the longest of their boxes is `filled` of the image.

    rotations: [N] for each view.
    """
    projections = [Projection(mesh, rotation) for rotation in rotations]
    side = np.max([projection.extent for projection in projections], 0) / filled
    return np.stack([projection.rasterised(size, side) for projection in projections], -1)


class Projection:
    """A mesh projected along z in N orientations."""

    def __init__(self, mesh: Outline, rotations: Rotation):
        matrices = rotations.as_matrix().reshape(-1, 3, 3)
        self.mesh = mesh
        self.points = mesh.vertices @ matrices[:, :2].swapaxes(1, 2)  # [N, V, 2]
        self.towards = matrices[:, 2] @ mesh.normals.T > 0  # [N, F] whether a face is seen
        self.low, self.high = self.points.min(1), self.points.max(1)

    @property
    def extent(self) -> np.ndarray:
        """[N] longest sides of the bounding boxes."""
        return (self.high - self.low).max(-1)

    def rasterised(self, size: int, side: np.ndarray) -> np.ndarray:
        """[N, size, size] silhouettes, centred, in images of `side` [N] in the unit of the mesh."""
        centre = (self.low + self.high)[:, None] / 2
        points = (self.points - centre) * (size / side)[:, None, None] + size / 2
        image, edge = np.nonzero(self.towards[:, self.mesh.left] != self.towards[:, self.mesh.right])
        start, end = (points[image, self.mesh.edges[edge, k]] for k in (0, 1))
        sign = np.where(self.towards[image, self.mesh.left[edge]], 1, -1)
        return coverage((len(points), size), image, (start, end), sign)


def coverage(
    shape: tuple[int, int], image: np.ndarray, ends: tuple[np.ndarray, np.ndarray], sign: np.ndarray
) -> np.ndarray:
    """float32 [N, S, S] for `shape` (N, S): the share of each pixel within outlines of directed edges, in pixels.

    image [E]: which image an edge belongs to; ends: [E, 2] (x, y) each; sign [E]: +1 for an edge in the direction that
    faces towards the viewer have, -1 for the reverse.
    """
    count, size = shape
    lines = size * LINES
    (x0, y0), (x1, y1) = (end.T for end in ends)
    # lines at y = (line + 1/2) / LINES that the edge crosses: first to last - 1
    first, last = (
        np.clip(np.ceil(y * LINES - 0.5), 0, lines).astype(int) for y in (np.minimum(y0, y1), np.maximum(y0, y1))
    )
    crossed = last - first
    which = np.repeat(np.arange(len(crossed)), crossed)
    line = np.arange(len(which)) - np.repeat(crossed.cumsum() - crossed, crossed) + first[which]
    with np.errstate(invalid='ignore', divide='ignore'):  # horizontal edges cross no line
        slope = (x1 - x0) / (y1 - y0)
    x = np.clip(x0[which] + ((line + 0.5) / LINES - y0[which]) * slope[which], 0, size)
    # faces above all that lies right of x: one more, or one less; of the pixel that holds x, a share
    step = np.where(y1 > y0, -sign, sign)[which]
    pixel = x.astype(int)
    share = x - pixel
    place = (image[which] * lines + line) * (size + 2) + pixel
    places, weights = np.concatenate([place, place + 1]), np.concatenate([step * (1 - share), step * share])
    # in place and in float32: most of the time goes into moving these arrays
    faces = np.zeros((count, lines, size + 2), np.float32)
    np.add.at(faces.reshape(-1), places, weights.astype(np.float32))
    np.cumsum(faces, -1, out=faces)
    np.clip(faces, 0, 1, out=faces)
    return np.asarray(sum(faces[:, k::LINES, :size] for k in range(LINES)) / np.float32(LINES))


def views(count: int, number: int, angle: float, rng: np.random.Generator) -> list[Rotation]:
    """Uniformly distributed orientations (random unit quaternions), [count] for each of `number` views.

    Later views are turned by `angle` degrees about the rows' axis, as two cameras of a probe see a crystal.
    """
    first = Rotation.random(count, rng=rng)
    return [Rotation.from_euler('y', view * angle, degrees=True) * first for view in range(number)]
