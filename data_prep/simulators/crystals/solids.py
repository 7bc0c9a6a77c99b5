"""Watertight solids: unions of convex parts, mesh files, and the 3-D properties of a mesh.

The effective density and surface of Ko et al. (arXiv 2507.19759) compare volume and surface area with those of the
smallest bounding sphere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import trimesh
from manifold3d import Manifold, OpType
from trimesh import Trimesh

from downscale_jax.runtime.errors import UserError

Part: TypeAlias = Manifold  # a convex part of a crystal
SEGMENTS = 72  # of the great circles of a sphere: its volume is 0.45 % too small


class Properties(NamedTuple):
    """Lengths in the unit of the mesh."""

    area: float
    volume: float
    radius: float  # of the smallest bounding sphere

    @property
    def effective_density(self) -> float:
        """Volume over that of the smallest bounding sphere."""
        return self.volume / (4 / 3 * np.pi * self.radius**3)

    @property
    def effective_surface(self) -> float:
        """Surface area over that of the smallest bounding sphere."""
        return self.area / (4 * np.pi * self.radius**2)


def properties(mesh: Trimesh) -> Properties:
    """Properties of a watertight mesh."""
    _, radius = trimesh.nsphere.minimum_nsphere(mesh.vertices)
    return Properties(float(mesh.area), float(mesh.volume), float(radius))


def ball(radius: float, segments: int = SEGMENTS) -> Part:
    """A sphere about the origin, a polyhedron with this number of segments in its great circles."""
    return Manifold.sphere(radius, segments)


def hull(points: np.ndarray) -> Part:
    """The convex hull of points [N, 3]."""
    return Manifold.hull_points(points)


def union(parts: Sequence[Part]) -> Trimesh | None:
    """The outer surface of the union of convex parts; None where it is not one watertight body.

    Cavities that several parts enclose are filled: no vapour reaches them, and no silhouette shows them.
    """
    solid = Manifold.batch_boolean(list(parts), OpType.Add).to_mesh64()
    mesh = Trimesh(solid.vert_properties, solid.tri_verts, process=False)
    solids = [body for body in (mesh.split() if mesh.body_count > 1 else [mesh]) if body.volume > 0]
    return solids[0] if mesh.is_watertight and len(solids) == 1 else None


def read(path: str | Path) -> Trimesh:
    """The mesh of a file (STL, PLY, OBJ). Raises UserError where it cannot be read, is not watertight, or
    holds several bodies."""
    try:
        mesh = trimesh.load_mesh(path)
    except Exception as error:  # trimesh raises whatever its parsers do
        raise UserError(f'{path} cannot be read as a mesh: {error}') from error
    mesh.update_faces(mesh.nondegenerate_faces())  # slivers with two equal vertices, as mesh programs leave behind
    if not len(mesh.faces):
        raise UserError(f'{path} holds no faces: export the crystal as a closed triangle mesh')
    if not mesh.is_watertight:
        open_edges = len(trimesh.grouping.group_rows(mesh.edges_sorted, require_count=1))
        raise UserError(f'{path} is not watertight ({open_edges} open edges): repair the mesh, volume is undefined')
    if mesh.body_count > 1:
        raise UserError(f'{path} holds {mesh.body_count} bodies: export a single crystal')
    if mesh.volume < 0:
        mesh.invert()
    return mesh
