"""Areas, volumes and bounding spheres against closed forms and the record of real meshes; geometry of rosettes."""

import csv

import numpy as np
import pytest
import trimesh

from data_prep.simulators.crystals import solids
from data_prep.simulators.crystals.directions import CAP, perturbed, smallest_angle, spherical_code
from data_prep.simulators.crystals.habits import (
    HABITS,
    Rosette,
    bullet,
    draw_rosette,
    frames,
    prism,
    rosette_mesh,
)
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings import images as settings


@pytest.fixture(scope='module')
def record(shared_data):
    with (shared_data / 'ice_crystals' / 'rosettes.csv').open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def mesh_file(shared_data, row):
    return shared_data / 'ice_crystals' / 'rosettes' / f'ros-test-{int(row["id"]):06d}.stl'


def test_a_hexagonal_prism():
    a, length = 2.0, 10.0
    known = solids.properties(solids.union([solids.hull(prism(a, length))]))
    base = 3 * np.sqrt(3) / 2 * a**2
    assert known.volume == pytest.approx(base * length)
    assert known.area == pytest.approx(2 * base + 6 * a * length)
    assert known.radius == pytest.approx(np.hypot(a, length / 2))
    assert known.effective_density == pytest.approx(base * length / (4 / 3 * np.pi * known.radius**3))


def test_a_sphere_fills_its_bounding_sphere():
    known = solids.properties(solids.union([solids.ball(3.0)]))
    assert known.effective_density == pytest.approx(1, abs=0.006)
    assert known.effective_surface == pytest.approx(1, abs=0.003)


def test_a_cavity_is_filled():
    outer = trimesh.creation.box((4, 4, 4))
    walls = [  # six plates that enclose a cube
        solids.hull(trimesh.creation.box(extents, trimesh.transformations.translation_matrix(place)).vertices)
        for axis in range(3) for sign in (-1, 1)
        for extents in [np.where(np.arange(3) == axis, 1.5, 4.0)]
        for place in [sign * 1.25 * np.eye(3)[axis]]
    ]  # fmt: skip
    mesh = solids.union(walls)
    assert mesh.volume == pytest.approx(outer.volume)
    assert mesh.area == pytest.approx(outer.area)


def test_parts_that_do_not_touch_are_no_crystal():
    assert solids.union([solids.hull(prism(1, 1)), solids.hull(prism(1, 1) + 5)]) is None


def test_real_meshes_have_the_recorded_properties(shared_data, record):
    for row in record:
        known = solids.properties(solids.read(mesh_file(shared_data, row)))
        assert known.area == pytest.approx(row['surface_area'], rel=1e-4)
        assert known.volume == pytest.approx(row['volume'], rel=1e-4)
        assert known.effective_surface == pytest.approx(row['effective_surface'], rel=1e-3)
        assert known.effective_density == pytest.approx(row['effective_density'], rel=1e-3)


def test_rosettes_of_the_recorded_parameters_are_as_dense_as_the_real_ones(record):
    """The factors of single arms are not recorded: a real rosette lies among simulated ones with other factors."""
    rng = np.random.default_rng(0)
    for row in record:
        given = {name: row[name] for name in ('a', 'c', 'f_r0', 'f_hp', 'f_h0')}
        known = [solids.properties(rosette_mesh(draw_rosette(4, rng)._replace(**given))) for _ in range(12)]
        for name in ('effective_density', 'effective_surface'):
            logarithms = np.log([getattr(one, name) for one in known])
            assert abs(np.log(row[name]) - logarithms.mean()) < 3 * logarithms.std(ddof=1)


@pytest.mark.parametrize(
    ('arms', 'degrees'), [(4, 109.47), (5, 90), (6, 90), (7, 77.87), (8, 74.86), (9, 70.53), (10, 66.15)]
)
def test_arms_point_as_far_apart_as_they_can(arms, degrees):
    code = spherical_code(arms)
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-11)
    assert np.degrees(smallest_angle(code)) == pytest.approx(degrees, abs=0.005)


def test_perturbations_are_uniform_in_a_cap():
    code = spherical_code(4)
    cosines = np.concatenate([
        (perturbed(code, np.random.default_rng(seed)) * code).sum(-1) for seed in range(500)
    ])  # fmt: skip
    lowest = np.cos(CAP * smallest_angle(code))
    assert cosines.min() >= lowest
    places = (cosines - lowest) / (1 - lowest)  # uniform in height on a sphere (Archimedes)
    assert np.abs(np.quantile(places, np.linspace(0.1, 0.9, 9)) - np.linspace(0.1, 0.9, 9)).max() < 0.04


def test_a_bullet_has_the_volume_of_a_prism_and_a_pyramid():
    one = np.ones(4)
    rosette = Rosette(10.0, 20.0, 1.0, 1.0, 1.0, one, one, spherical_code(4), 0 * one)
    assert (rosette.radius, rosette.pyramid, rosette.base) == (5, 5, 7.5)
    part = bullet(rosette, 1.0, 1.0, 0.3, frames(spherical_code(4))[1])
    assert part.volume() == pytest.approx(3 * np.sqrt(3) / 2 * 10**2 * (2 * 20 + 5 / 3))


def test_habits_are_those_that_settings_offer():
    assert tuple(HABITS) == settings.HABITS
    rng = np.random.default_rng(0)
    for make in HABITS.values():
        mesh = make(rng)
        assert mesh.is_watertight
        assert 0 < solids.properties(mesh).effective_density <= 1


def test_a_mesh_that_is_not_closed(tmp_path):
    mesh = trimesh.creation.box()
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    mesh.export(tmp_path / 'open.stl')
    with pytest.raises(UserError, match=r'open\.stl is not watertight \(3 open edges\)'):
        solids.read(tmp_path / 'open.stl')
    pair = trimesh.util.concatenate([trimesh.creation.box(), trimesh.creation.box().apply_translation((5, 0, 0))])
    pair.export(tmp_path / 'pair.stl')
    with pytest.raises(UserError, match=r'pair\.stl holds 2 bodies'):
        solids.read(tmp_path / 'pair.stl')
    (tmp_path / 'bad.stl').write_text('no mesh')
    with pytest.raises(UserError, match=r'bad\.stl'):
        solids.read(tmp_path / 'bad.stl')


def test_a_mesh_turned_inside_out_is_read_as_a_solid(tmp_path):
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.apply_transform(trimesh.transformations.rotation_matrix(0.3, (1, 2, 3)))
    mesh.invert()
    mesh.export(tmp_path / 'box.stl')
    assert solids.properties(solids.read(tmp_path / 'box.stl')).volume == pytest.approx(6, rel=1e-6)
