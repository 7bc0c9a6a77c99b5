"""Silhouettes against shadows in closed form, an independent rasteriser, and Cauchy's formula."""

import numpy as np
import pytest
import shapely
import trimesh
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from data_prep.simulators.crystals import particles, rosettes, solids
from data_prep.simulators.crystals.habits import draw_rosette, prism, rosette_mesh
from data_prep.simulators.crystals.silhouettes import FILL, outline, project, project_views, views
from downscale_jax.fields.images import silhouettes as images

IDENTITY = Rotation.identity(1)


def union_of_triangles(mesh, rotation, size, filled):
    """Coverage by exact polygons: the shadow is the union of the shadows of all triangles."""
    points = mesh.vertices @ rotation.as_matrix()[:2].T
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (filled * size / (high - low).max()) + size / 2
    shadow = shapely.union_all([shapely.Polygon(points[face]) for face in mesh.faces], grid_size=1e-6)
    rows, columns = np.indices((size, size))
    pixels = shapely.box(columns, rows, columns + 1, rows + 1)
    return shapely.area(shapely.intersection(pixels, shadow))


def test_a_cube_seen_along_an_edge_is_a_square():
    (image,) = project(outline(trimesh.creation.box((2, 2, 2))), IDENTITY, 20)
    expected = np.zeros((20, 20))
    expected[1:19, 1:19] = 1  # 0.9 of 20 pixels, centred
    np.testing.assert_allclose(image, expected, atol=1e-6)


def test_a_sphere_is_a_disc():
    (image,) = project(outline(solids.union([solids.ball(7.0)])), IDENTITY, 64, filled=0.8)
    assert image.sum() == pytest.approx(np.pi * (0.4 * 64) ** 2, rel=2e-3)
    np.testing.assert_allclose(image, image[::-1], atol=1e-5)


def test_a_rosette_is_the_union_of_its_triangles():
    rng = np.random.default_rng(3)
    mesh = rosette_mesh(draw_rosette(5, rng))
    rotation = Rotation.random(rng=rng)
    (image,) = project(outline(mesh), rotation, 24)
    expected = union_of_triangles(mesh, rotation, 24, FILL)
    partly = (expected > 0) & (expected < 1)
    assert np.abs(image - expected)[partly].mean() < 0.03  # two lines sample a row of pixels
    np.testing.assert_allclose(image[~partly], expected[~partly], atol=0.25)
    assert image.sum() == pytest.approx(expected.sum(), rel=0.01)


def test_the_mean_shadow_of_a_convex_body_is_a_quarter_of_its_surface():
    """Cauchy's formula, which holds only for uniformly distributed orientations."""
    mesh = solids.union([solids.hull(prism(1.0, 6.0))])
    rotations = views(4000, 1, 0.0, np.random.default_rng(0))[0]
    size = 32
    shadows = project(outline(mesh), rotations, size).sum((1, 2))
    points = np.einsum('nij,vj->nvi', rotations.as_matrix()[:, :2], mesh.vertices)
    side = np.ptp(points, 1).max(-1) / FILL  # of the image, in the unit of the mesh
    assert (shadows * (side / size) ** 2).mean() == pytest.approx(mesh.area / 4, rel=0.01)


def test_orientations_are_uniform():
    lines = views(2000, 1, 0.0, np.random.default_rng(1))[0].as_matrix()[:, 2]
    assert all(kstest(lines[:, k], 'uniform', (-1, 2)).pvalue > 0.01 for k in range(3))


@pytest.mark.parametrize('angle', [90.0, 120.0])
def test_two_views_are_an_angle_apart_on_one_scale(angle):
    first, second = views(5, 2, angle, np.random.default_rng(0))
    lines = (first.as_matrix()[:, 2] * second.as_matrix()[:, 2]).sum(-1)
    np.testing.assert_allclose(lines, np.cos(np.radians(angle)), atol=1e-12)
    column = outline(trimesh.creation.box((1, 1, 8)))
    seen = project_views(column, views(1, 2, 90.0, np.random.default_rng(0)), 40)
    assert seen.shape == (1, 40, 40, 2)
    along = Rotation.identity(1)
    (image,) = project_views(column, [along, Rotation.from_euler('y', [90], degrees=True)], 40)
    assert image[..., 1].sum() == pytest.approx(8 * image[..., 0].sum(), rel=1e-3)


def test_framing_is_that_of_images_of_users():
    assert FILL == images.FILL
    mesh = rosette_mesh(draw_rosette(6, np.random.default_rng(0)))
    rotation = Rotation.random(rng=np.random.default_rng(1))
    (fine,) = project(outline(mesh), rotation, 256, filled=0.5)
    (direct,) = project(outline(mesh), rotation, 32)
    framed = images.framed((fine > 0.5)[None, ..., None].astype(float), 32)[0, ..., 0]
    assert np.abs(framed - direct).mean() < 0.01


def test_a_simulation_is_a_function_of_its_seed():
    def images_of(seed, crystals=2):
        found = rosettes.simulate(seed, (4, 7), crystals, 3, (2, 90.0), 16)
        assert found.labels == ('4', '7')
        return found, list(found.examples(range(len(found.group_labels))))

    found, first = images_of(0)
    _, again = images_of(0)
    _, other = images_of(1)
    assert [example.group for example in first] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    np.testing.assert_array_equal(found.group_labels, [0, 0, 1, 1])
    for one, two, three in zip(first, again, other, strict=True):
        assert one.image.shape == (16, 16, 2)
        np.testing.assert_array_equal(one.image, two.image)
        assert one.values == two.values != three.values
        assert 0 <= one.values[2] <= 90


def test_particles_are_framed():
    found = particles.simulate(0, ('sphere', 'column'), 2, 4, 40)
    images = np.stack([example.image[..., 0] for example in found.examples(range(4))])
    longest = np.maximum((images > 0.1).any(1).sum(1), (images > 0.1).any(2).sum(1))
    assert ((longest >= 36) & (longest <= 38)).all()  # 0.9 of 40 pixels, and parts of pixels
    droplets, columns = (images[np.repeat(found.group_labels == label, 4)].mean((1, 2)) for label in (0, 1))
    assert droplets.min() > columns.mean()
